// The server renders every page; hydration in the browser changes no text and loses no entry.
import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test } from '../support/fixtures.ts';
import { access, connectors, logs, streaming } from '../support/server.ts';

/** Delays the WebAssembly until the returned function is called. */
async function delayWasm(page: Page): Promise<() => void> {
  let release = () => {};
  const held = new Promise<void>((done) => (release = done));
  await page.route('**/*.wasm', async (route) => {
    await held;
    await route.continue();
  });
  return release;
}

/** The text of the page without its times, which hydration makes relative. */
async function text(page: Page): Promise<string> {
  return page.evaluate(() => {
    const copy = document.body.cloneNode(true) as HTMLElement;
    for (const node of copy.querySelectorAll('script, template')) node.remove();
    for (const time of copy.querySelectorAll('time')) time.textContent = '[time]';
    const walker = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
    const words: string[] = [];
    while (walker.nextNode()) words.push(walker.currentNode.textContent ?? '');
    return words.join('').replace(/\s+/g, ' ');
  });
}

for (const path of ['/settings', logs, streaming, `${streaming}/new`, `${streaming}/demo_archive`, `${streaming}/demo_archive/edit`, connectors, `${connectors}/new`, `${connectors}/demo_s3/edit`, access, `${access}/tokens`, `${access}/sign-ins`, `${access}/you`]) {
  test(`${path} has the same text before and after hydration`, async ({ page, demo }) => {
    await signIn(page, demo, '/settings');
    const release = await delayWasm(page);
    await page.goto(path, { waitUntil: 'domcontentloaded' });
    const rendered = await text(page);
    expect(rendered).toContain('Account Settings');
    release();
    await hydrated(page);
    expect(await text(page)).toBe(rendered);
  });
}

test('entries typed three seconds before hydration are kept', async ({ page, demo }) => {
  await signIn(page, demo, '/settings');
  const release = await delayWasm(page);
  await page.goto(`${streaming}/new`, { waitUntil: 'domcontentloaded' });
  await page.getByLabel('Name', { exact: true }).pressSequentially('Early bird', { delay: 20 });
  await page.getByLabel('Description (optional)').fill('Typed before hydration');
  await new Promise((done) => setTimeout(done, 3_000));
  await expect(page.locator('html')).not.toHaveAttribute('data-hydrated');
  release();
  await hydrated(page);
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Early bird');
  await expect(page.getByLabel('Id', { exact: true })).toHaveValue('Early_bird');
  await expect(page.getByLabel('Description (optional)')).toHaveValue('Typed before hydration');
  // The next step uses the entries.
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Streaming Connector' })).toBeVisible();
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('sign-in, lists, filters and toggles work; the wizard says that it requires JavaScript', async ({ page, demo }) => {
    await page.goto(streaming);
    await page.getByLabel('E-mail').fill(demo.email);
    await page.getByLabel('Password').fill(demo.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page).toHaveURL(streaming);
    const toggle = page.getByRole('switch', { name: 'Stream to Demo archive' });
    await toggle.click();
    await expect(page).toHaveURL(streaming);
    await expect(toggle).toHaveAttribute('aria-checked', 'true');
    await toggle.click();
    await expect(toggle).toHaveAttribute('aria-checked', 'false');
    await page.goto(`${streaming}/new`);
    expect(await page.locator('noscript').innerHTML()).toContain('This wizard requires JavaScript.');
    await page.goto(logs);
    await page.getByLabel('Search').fill('demo_archive');
    await page.getByRole('button', { name: 'Apply' }).click();
    await expect(page).toHaveURL(/q=demo_archive/);
    await expect(page.getByRole('region', { name: 'Audit events' }).getByText('demo_archive').first()).toBeVisible();
    await page.goto(connectors);
    await expect(page.getByText('Demo S3')).toBeVisible();
    expect(await page.locator('noscript').innerHTML()).toContain('Testing and deleting a connector require JavaScript.');
    for (const path of [`${connectors}/new`, `${connectors}/demo_s3/edit`]) {
      await page.goto(path);
      expect(await page.locator('noscript').innerHTML()).toContain('This form requires JavaScript.');
    }
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page).toHaveURL('/sign-in');
  });
});
