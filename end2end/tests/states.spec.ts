// States that a person meets when something is not as it should be.
import type { Page } from '@playwright/test';
import { expect, hydrated, picture, signIn, test } from './fixtures.ts';
import { connectors, type Demo, logs, streaming } from './server.ts';

const viewer = { email: 'viewer@demo.local', password: 'looks but does not touch' };

async function signInAs(page: Page, person: { email: string; password: string }): Promise<void> {
  await page.getByLabel('E-mail').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

function admin(demo: Demo): { email: string; password: string } {
  return { email: demo.email, password: demo.password };
}

test('a wrong password is refused in words, and nothing typed goes into the address', async ({ page, demo }) => {
  await page.goto('/sign-in');
  await signInAs(page, { email: demo.email, password: 'not the password' });
  await expect(page.getByText('The e-mail or the password is wrong')).toBeVisible();
  expect(page.url()).not.toContain('demo.local');
  await expect(page.getByLabel('E-mail')).toHaveValue(demo.email);
  await expect(page.getByLabel('Password')).toBeFocused();
});

test('a viewer sees everything, can change nothing, and is told why', async ({ page, demo }) => {
  demo.command(['user', 'create', '--email', viewer.email, '--role', 'account_viewer'], { AUDITSTREAM_PASSWORD: viewer.password });
  await page.goto(streaming);
  await signInAs(page, viewer);
  await expect(page).toHaveURL(streaming);
  await hydrated(page);
  const reason = 'Your role, Account Viewer, can look but not change.';
  await expect(page.getByText(reason).first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'New Streaming Destination' })).toBeDisabled();
  await expect(page.getByRole('switch', { name: 'Stream to Demo archive' })).toBeDisabled();
  await page.getByRole('button', { name: 'Actions for Demo archive' }).click();
  await expect(page.getByRole('menuitem', { name: 'Edit' })).toHaveAttribute('aria-disabled', 'true');
  await expect(page.getByRole('menuitem', { name: 'Delete' })).toBeDisabled();
  for (const path of [`${streaming}/new`, `${streaming}/demo_archive`]) {
    await page.goto(path);
    await expect(page.getByText(reason).first()).toBeVisible();
  }
  await page.goto(connectors);
  await expect(page.getByRole('button', { name: 'Test Demo S3' })).toBeDisabled();
  await page.goto(logs);
  await expect(page.getByRole('region', { name: 'Audit events' })).toBeVisible();
});

test.describe('with streaming switched off', () => {
  test.use({ settings: { PL_AUDIT_LOG_STREAMING_ENABLED: 'false' }, allowed: ['404 (Not Found)'] });

  test('the tab is hidden, and its address says so', async ({ page, demo }) => {
    await signIn(page, demo, logs);
    await expect(page.getByRole('link', { name: 'Audit Logs' })).toBeVisible();
    await expect(page.getByRole('link', { name: 'Audit Log Streaming' })).toHaveCount(0);
    for (const path of [streaming, `${streaming}/new`, `${streaming}/demo_archive`]) {
      await page.goto(path);
      await hydrated(page);
      await expect(page.getByText('Not enabled. Contact your administrator.')).toBeVisible();
    }
  });
});

test.describe('a destination that fails', () => {
  test.use({ settings: { AUDITSTREAM_STREAM_INTERVAL: '2s' } });

  test('says what is wrong and what to do, and recovers by itself once it is mended', async ({ page, demo }) => {
    await signIn(page, demo, `${streaming}/demo_archive/edit`);
    const bucket = async (name: string) => {
      await page.getByRole('button', { name: 'Continue', exact: true }).click();
      await page.getByLabel('Amazon S3 Bucket').fill(name);
      await page.getByRole('button', { name: 'Save and Continue' }).click();
      await page.getByRole('button', { name: 'Finish' }).click();
      await expect(page).toHaveURL(streaming);
    };
    await bucket('audit-lgos');
    await page.getByRole('switch', { name: 'Stream to Demo archive' }).click();
    await expect(page.getByText('Failing')).toBeVisible();
    await expect(page.getByText('Errors in 1 destination(s)')).toBeVisible();
    await page.getByRole('button', { name: 'Details of Demo archive' }).click();
    await expect(page.getByText('Check the bucket\'s name')).toBeVisible();
    await picture(page, 'failing');
    await page.goto(`${streaming}/demo_archive/edit`);
    await hydrated(page);
    await bucket('audit-logs');
    await expect(page.getByText('Failing')).toHaveCount(0, { timeout: 20_000 });
    await expect(page.getByText('Errors in 0 destination(s)')).toBeVisible();
  });
});

test.describe('when the session ends', () => {
  test.use({ allowed: ['401 (Unauthorized)'] });

  test('signing in is asked for over the page, and nothing typed is lost', async ({ page, demo, context }) => {
    await signIn(page, demo, `${streaming}/new`);
    await page.getByLabel('Name', { exact: true }).fill('Kept');
    await context.clearCookies();
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Sign in again' });
    await dialog.getByLabel('E-mail').fill(demo.email);
    await dialog.getByLabel('Password').fill('wrong');
    await dialog.getByRole('button', { name: 'Sign in' }).click();
    await expect(dialog.getByText('The e-mail or the password is wrong.')).toBeVisible();
    await dialog.getByLabel('Password').fill(admin(demo).password);
    await dialog.getByRole('button', { name: 'Sign in' }).click();
    await expect(dialog).toBeHidden();
    await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Kept');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await expect(page.getByRole('heading', { name: 'Streaming Connector' })).toBeVisible();
    const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    expect(stored).toBe('[{},{}]');
  });

  test('a page that could not be loaded is loaded when somebody has signed in again', async ({ page, demo, context }) => {
    await signIn(page, demo, logs);
    await context.clearCookies();
    await page.getByRole('link', { name: 'Audit Log Streaming' }).click();
    const dialog = page.getByRole('dialog', { name: 'Sign in again' });
    await expect(dialog.getByLabel('E-mail')).toBeFocused();
    await dialog.getByLabel('E-mail').fill(demo.email);
    await dialog.getByLabel('Password').fill(demo.password);
    await dialog.getByRole('button', { name: 'Sign in' }).click();
    await expect(dialog).toBeHidden();
    await expect(page.getByRole('switch', { name: 'Stream to Demo archive' })).toBeVisible();
  });
});

test.describe('when the server is away', () => {
  test.use({ allowed: ['Failed to load resource', 'net::ERR_CONNECTION_REFUSED'] });

  test('the table says so, and goes on when it is back', async ({ page, demo }) => {
    await signIn(page, demo, streaming);
    await page.getByRole('switch', { name: 'Stream to Demo archive' }).click();
    await expect(page.getByText(/^Active\. First run started/)).toBeVisible();
    const host = new URL(demo.address).host;
    await demo.end();
    await expect(page.getByText('The server does not answer. What you see may be old.')).toBeVisible();
    await demo.start({ AUDITSTREAM_LISTEN: host });
    await expect(page.getByText('The server does not answer.')).toHaveCount(0, { timeout: 20_000 });
  });
});

test.describe('what is gone', () => {
  test.use({ allowed: ['404 (Not Found)'] });

  test('a destination and a connector that are gone are told of', async ({ page, demo }) => {
    await signIn(page, demo, '/settings');
    for (const path of [`${streaming}/gone`, `${streaming}/gone/edit`]) {
      await page.goto(path);
      await hydrated(page);
      await expect(page.getByText('There is no streaming destination “gone”.')).toBeVisible();
    }
    await page.goto(`${connectors}/gone/edit`);
    await expect(page.getByText('There is no connector “gone”.')).toBeVisible();
  });
});
