// The story of a newcomer: sign in, activate the demo's destination, see objects land; add a destination of one's own.
// Any error or warning in the browser's console fails the test.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import AxeBuilder from '@axe-core/playwright';
import { expect, type Page, test } from '@playwright/test';

const demo = join(process.env.AUDITSTREAM_TEST_DATA ?? '', 'demo');
const streaming = '/settings/audit-trail/streaming';

/** The events of every object below the demo's store. */
function landed(): { auditEventMetadata: { sequence: number } }[] {
  const files: string[] = [];
  const walk = (folder: string) => {
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) walk(path);
      else if (path.endsWith('.ndjson.gz')) files.push(path);
    }
  };
  walk(join(demo, 'store'));
  return files.flatMap((file) =>
    gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n').map((line) => JSON.parse(line)),
  );
}

async function signIn(page: Page, next: string) {
  await page.goto(next);
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await page.getByLabel('E-mail').fill('admin@demo.local');
  await page.getByLabel('Password').fill(readFileSync(join(demo, 'password'), 'utf8').trim());
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(next);
  await hydrated(page);
}

async function hydrated(page: Page) {
  await page.locator('html[data-hydrated]').waitFor();
}

let complaints: string[] = [];
test.beforeEach(({ page }) => {
  complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
});
test.afterEach(() => expect(complaints).toEqual([]));

test('a wrong password is refused in words, and nothing typed goes into the address', async ({ page }) => {
  await page.goto('/sign-in');
  await page.getByLabel('E-mail').fill('admin@demo.local');
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText('E-mail or password are wrong')).toBeVisible();
  expect(page.url()).not.toContain('demo.local');
});

test('an activated destination receives every event once', async ({ page }) => {
  await signIn(page, streaming);
  await expect(page.getByText('Beta').first()).toBeVisible();
  await expect(page.getByText('Make sure you trust the streaming destination.')).toBeVisible();
  await expect(page.getByText('Not streamed yet').first()).toBeVisible();
  const toggle = page.getByRole('switch', { name: 'Stream to Demo archive' });
  await expect(toggle).toHaveAttribute('aria-checked', 'false');
  expect(landed()).toEqual([]);
  await toggle.click();
  await expect(toggle).toHaveAttribute('aria-checked', 'true');
  await expect.poll(() => landed().length, { timeout: 20_000 }).toBeGreaterThan(100);
  await toggle.click();
  await expect(toggle).toHaveAttribute('aria-checked', 'false');
  const sequences = landed().map((event) => event.auditEventMetadata.sequence).sort((a, b) => a - b);
  expect(sequences).toEqual(sequences.map((_, index) => index + 1));
});

test('the wizard leads from a name to a tested, inactive destination', async ({ page }) => {
  await signIn(page, streaming);
  await page.getByRole('link', { name: 'New Streaming Destination' }).first().click();
  await hydrated(page);
  await page.getByLabel('Name', { exact: true }).fill('2nd SIEM');
  await expect(page.getByLabel('Id', { exact: true })).toHaveValue('_2nd_SIEM');
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.getByRole('button', { name: 'Select Connector' }).click();
  await page.getByRole('radio', { name: /Demo S3/ }).check();
  await page.getByRole('button', { name: 'Apply Selected' }).click();
  await page.getByLabel('Amazon S3 Bucket').fill('Not_A_Bucket');
  await page.getByRole('button', { name: 'Save and Continue' }).click();
  await expect(page.getByText('A bucket name has only lower-case letters')).toBeVisible();
  await page.getByLabel('Amazon S3 Bucket').fill('audit-logs');
  await page.getByRole('button', { name: 'Save and Continue' }).click();
  const finish = page.getByRole('button', { name: 'Finish' });
  await expect(finish).toBeEnabled({ timeout: 20_000 });
  await finish.click();
  await expect(page).toHaveURL(streaming);
  await expect(page.getByRole('switch', { name: 'Stream to 2nd SIEM' })).toHaveAttribute('aria-checked', 'false');
});

test('screens pass axe', async ({ page }) => {
  await signIn(page, '/settings');
  for (const path of ['/settings', '/settings/audit-trail/logs', streaming, '/settings/connectors']) {
    await page.goto(path);
    await hydrated(page);
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map((violation) => `${path}: ${violation.id} ${violation.nodes[0]?.html}`)).toEqual([]);
  }
});

test('a file of the site is asked for again and has not changed', async ({ request }) => {
  const first = await request.get('/pkg/auditstream.css');
  expect(first.status()).toBe(200);
  expect(first.headers()['cache-control']).toBe('no-cache');
  expect(first.headers()['content-type']).toBe('text/css; charset=utf-8');
  const again = await request.get('/pkg/auditstream.css', { headers: { 'if-none-match': first.headers()['etag'] ?? '' } });
  expect(again.status()).toBe(304);
});
