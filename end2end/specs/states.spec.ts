// The states of the console when something is missing, refused or broken.
import type { Page } from '@playwright/test';
import { expect, hydrated, picture, signIn, test } from '../support/fixtures.ts';
import { connectors, type Demo, logs, streaming } from '../support/server.ts';

const viewer = { email: 'viewer@demo.local', password: 'looks but does not touch' };

async function signInAs(page: Page, person: { email: string; password: string }): Promise<void> {
  await page.getByLabel('E-mail').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

function admin(demo: Demo): { email: string; password: string } {
  return { email: demo.email, password: demo.password };
}

test('a wrong password is refused with a message, and no entry appears in the address', async ({ page, demo }) => {
  await page.goto('/sign-in');
  await signInAs(page, { email: demo.email, password: 'not the password' });
  await expect(page.getByText('The e-mail or the password is wrong')).toBeVisible();
  expect(page.url()).not.toContain('demo.local');
  await expect(page.getByLabel('E-mail')).toHaveValue(demo.email);
  await expect(page.getByLabel('Password')).toBeFocused();
});

test('a viewer can see everything and change nothing, and every page says why', async ({ page, demo }) => {
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
  await page.goto(`${connectors}/new`);
  await expect(page.getByText(reason)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Save connector' })).toHaveCount(0);
  await page.goto(`${connectors}/demo_s3/edit`);
  await expect(page.getByText(reason)).toBeVisible();
  await expect(page.getByLabel('Region')).toBeDisabled();
  await expect(page.getByRole('button', { name: 'Save connector' })).toBeDisabled();
  await page.goto(logs);
  await expect(page.getByRole('region', { name: 'Audit events' })).toBeVisible();
});

test.describe('with streaming disabled', () => {
  test.use({ settings: { PL_AUDIT_LOG_STREAMING_ENABLED: 'false' }, allowed: ['404 (Not Found)'] });

  test('the tab is hidden, and its address says that streaming is not enabled', async ({ page, demo }) => {
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

  test('shows the cause and the fix, and recovers by itself once fixed', async ({ page, demo }) => {
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
    await expect(page.getByText('Errors in 1 destination', { exact: true })).toBeVisible();
    await expect(page.getByText(/^Active\. First run started/)).toHaveCount(0);
    await page.getByRole('button', { name: 'Details of Demo archive' }).click();
    await expect(page.getByText('Check the bucket\'s name')).toBeVisible();
    await picture(page, 'failing');
    // An inactive destination needs no attention.
    await page.getByRole('switch', { name: 'Stream to Demo archive' }).click();
    await expect(page.getByText('the last run failed')).toBeVisible();
    await expect(page.getByText('Failing')).toHaveCount(0);
    await expect(page.getByText('Errors in 0 destinations')).toBeVisible();
    await expect(page.getByText('Check the bucket\'s name')).toBeVisible();
    await page.getByRole('switch', { name: 'Stream to Demo archive' }).click();
    await expect(page.getByText('Failing')).toBeVisible();
    await page.goto(`${streaming}/demo_archive/edit`);
    await hydrated(page);
    await bucket('audit-logs');
    await expect(page.getByText('Failing')).toHaveCount(0);
    await expect(page.getByText('Errors in 0 destinations')).toBeVisible();
  });
});

test.describe('an unsaved entry', () => {
  test.use({ allowed: ['409 (Conflict)'] });

  test('is not lost by following a link or closing the page without confirmation', async ({ page, demo }) => {
    await signIn(page, demo, streaming);
    await page.getByRole('link', { name: 'New Streaming Destination' }).click();
    const name = page.getByLabel('Name', { exact: true });
    const question = page.getByRole('dialog', { name: 'Leave without saving?' });
    const stay = async () => {
      await question.getByRole('button', { name: 'Cancel' }).click();
      await expect(page).toHaveURL(`${streaming}/new`);
      await expect(name).toHaveValue('Typed');
    };
    await name.fill('Typed');
    await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: 'Connectors' }).click();
    await stay();
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => void setTimeout(() => location.reload()));
    const end = await asked;
    expect(end.type()).toBe('beforeunload');
    await end.dismiss();
    await expect(name).toHaveValue('Typed');
    await page.getByRole('link', { name: 'Skip to content' }).press('Enter');
    await expect(name).toHaveValue('Typed');
    await page.getByRole('navigation', { name: 'Breadcrumbs' }).getByRole('link', { name: 'Audit Log Streaming' }).click();
    await question.getByRole('button', { name: 'Leave' }).click();
    await expect(page).toHaveURL(streaming);
    await page.getByRole('link', { name: 'New Streaming Destination' }).click();
    await name.fill('Typed');
    await page.getByRole('link', { name: 'Cancel' }).click();
    await expect(page).toHaveURL(streaming);
    await page.goto(`${connectors}/new`);
    await hydrated(page);
    await name.fill('Typed');
    await page.getByRole('navigation', { name: 'Breadcrumbs' }).getByRole('link', { name: 'Connectors' }).click();
    await question.getByRole('button', { name: 'Leave' }).click();
    await expect(page).toHaveURL(connectors);
  });

  test('for a new connector is kept until it is saved or cancelled', async ({ page, demo }) => {
    await signIn(page, demo, `${streaming}/demo_archive/edit`);
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    const dialog = page.getByRole('dialog');
    const pick = page.getByRole('button', { name: 'Select Connector' });
    await pick.click();
    await expect(dialog.getByRole('searchbox')).toBeFocused();
    await dialog.getByRole('button', { name: 'New AWS connector' }).click();
    await expect(dialog.getByLabel('Name', { exact: true })).toBeFocused();
    await dialog.getByLabel('Name', { exact: true }).fill('Typed');
    await page.keyboard.press('Escape');
    await expect(dialog).toHaveCount(0);
    await pick.click();
    await expect(dialog.getByLabel('Name', { exact: true })).toHaveValue('Typed');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.getByRole('button', { name: 'New AWS connector' }).click();
    await expect(dialog.getByLabel('Name', { exact: true })).toHaveValue('');
  });

  test('that is invalid is reported once, next to its field, until the field is edited', async ({ page, demo }) => {
    await signIn(page, demo, `${connectors}/new`);
    await page.getByLabel('Region').fill('Mars!');
    await page.getByText('AWS Backoff Strategy').click();
    await page.getByLabel('Retries').fill('many');
    await page.getByText('AWS Backoff Strategy').click();
    await page.getByRole('button', { name: 'Save connector' }).click();
    await expect(page.getByLabel('Name', { exact: true })).toBeFocused();
    for (const sentence of ['A name is required.', 'A secret key is required.', 'A region looks like us-east-1.', 'Enter a whole number.']) {
      await expect(page.getByText(sentence)).toBeVisible();
    }
    await expect(page.getByRole('alert')).toHaveCount(0);
    await page.getByLabel('Region').fill('us-east-1');
    await expect(page.getByText('A region looks like us-east-1.')).toHaveCount(0);
    await expect(page.getByText('A name is required.')).toBeVisible();
    await page.getByLabel('Name', { exact: true }).fill('Demo');
    await page.getByLabel('Id', { exact: true }).fill('demo_s3');
    await page.getByLabel('Access key').fill('AKIATEST');
    await page.getByLabel('Secret key').fill('secret');
    await page.getByLabel('Retries').fill('2');
    await page.getByRole('button', { name: 'Save connector' }).click();
    await expect(page.getByText('There is already a connector with the id “demo_s3”.')).toHaveCount(1);
  });
});

test.describe('the wizard', () => {
  test('keeps the focus, reports a replaced tag, and leaves its options open', async ({ page, demo }) => {
    await signIn(page, demo, `${streaming}/new`);
    const go = page.getByRole('button', { name: 'Continue', exact: true });
    const name = page.getByLabel('Name', { exact: true });
    await go.click();
    await expect(name).toBeFocused();
    await name.fill('Focused');
    await expect(page.getByText('A name is required.')).toHaveCount(0);
    const tags = page.getByLabel('Tags (optional)');
    for (const tag of ['team:security', 'team:ops']) {
      await tags.fill(tag);
      await tags.press('Enter');
    }
    await expect(page.getByText('This tag replaced team:security')).toBeVisible();
    await go.click();
    await expect(page.getByRole('heading', { name: 'Streaming Connector' })).toBeFocused();
    await page.getByRole('button', { name: 'Back' }).click();
    await expect(page.getByRole('heading', { name: 'Overview' })).toBeFocused();
    await go.click();
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByRole('button', { name: 'Select Connector' })).toBeFocused();
    await page.getByRole('button', { name: 'Select Connector' }).click();
    await page.getByRole('radio', { name: /Demo S3/ }).check();
    await page.getByRole('button', { name: 'Apply Selected' }).click();
    await page.getByLabel('Amazon S3 Bucket').fill('audit-logs');
    await page.getByText('More options').click();
    await page.getByLabel('Prefix (optional)').fill('focused/');
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByRole('heading', { name: 'Connection Test' })).toBeFocused();
    await page.getByRole('button', { name: 'Back' }).click();
    await expect(page.getByLabel('Prefix (optional)')).toBeVisible();
    await page.goto(`${streaming}/Focused/edit`);
    await hydrated(page);
    await go.click();
    await expect(page.getByLabel('Prefix (optional)')).toBeVisible();
  });
});

test.describe('with an empty account', () => {
  test('lists show one sentence, one button and one link to the documentation', async ({ page, demo }) => {
    await signIn(page, demo, `${streaming}/new`);
    await page.getByLabel('Name', { exact: true }).fill('Second');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await page.getByRole('button', { name: 'Select Connector' }).click();
    await page.getByRole('radio', { name: /Demo S3/ }).check();
    await page.getByRole('button', { name: 'Apply Selected' }).click();
    await page.getByLabel('Amazon S3 Bucket').fill('audit-logs');
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await page.getByRole('button', { name: 'Finish' }).click();
    const remove = async (name: string) => {
      await page.getByRole('button', { name: `Actions for ${name}` }).click();
      await page.getByRole('menuitem', { name: 'Delete' }).click();
      await page.getByRole('dialog').getByRole('textbox').fill(name);
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await expect(page.getByRole('button', { name: `Actions for ${name}` })).toHaveCount(0);
    };
    await remove('Second');
    await expect(page.getByRole('region', { name: 'Streaming destinations' })).toBeFocused();
    await remove('Demo archive');
    await expect(page.getByRole('heading', { name: 'No streaming destinations yet' })).toBeVisible();
    await expect(page.getByRole('main')).toBeFocused();
    await expect(page.locator('.card')).toHaveCount(0);
    await expect(page.getByRole('link', { name: 'New Streaming Destination' })).toHaveCount(1);
    await expect(page.getByRole('link', { name: 'with the API' })).toHaveAttribute('href', '/docs/api');
    await picture(page, 'no-destinations');
    await page.goto(connectors);
    await hydrated(page);
    await page.getByRole('button', { name: 'Delete Demo S3' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await expect(page.getByRole('heading', { name: 'No connectors yet' })).toBeVisible();
    await expect(page.getByRole('link', { name: 'New AWS connector' })).toHaveCount(1);
    await expect(page.getByRole('link', { name: 'with the API' })).toHaveAttribute('href', '/docs/api');
    await page.goto(`${streaming}/new`);
    await hydrated(page);
    await page.getByLabel('Name', { exact: true }).fill('Third');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await page.getByRole('button', { name: 'Select Connector' }).click();
    await expect(page.getByText('There are no connectors yet.')).toBeVisible();
  });
});

test.describe('when the session ends', () => {
  test.use({ allowed: ['401 (Unauthorized)'] });

  test('the page asks to sign in again and loses no entry', async ({ page, demo, context }) => {
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

  test('a page that could not be loaded is loaded after signing in again', async ({ page, demo, context }) => {
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

test.describe('changes while a page is open', () => {
  test.use({ allowed: ['401 (Unauthorized)', '404 (Not Found)'] });

  test('an ended session asks to sign in, and a destination deleted elsewhere is reported', async ({ page, demo, context }) => {
    await signIn(page, demo, `${streaming}/demo_archive`);
    await context.clearCookies();
    const dialog = page.getByRole('dialog', { name: 'Sign in again' });
    await dialog.getByLabel('E-mail').fill(demo.email);
    await dialog.getByLabel('Password').fill(demo.password);
    await dialog.getByRole('button', { name: 'Sign in' }).click();
    await expect(dialog).toBeHidden();
    await expect(page.getByRole('alert')).toHaveCount(0);
    const token = demo.command(['token', 'create', '--name', 'elsewhere', '--scope', 'admin']);
    const gone = await fetch(`${demo.address}/v1/streaming-destinations/demo_archive`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    });
    expect(gone.status).toBe(204);
    await expect(page.getByRole('alert')).toContainText('There is no streaming destination “demo_archive”.');
  });
});

test.describe('when the server is down', () => {
  test.use({ allowed: ['Failed to load resource', 'net::ERR_CONNECTION_REFUSED'] });

  test('the table says so and continues when the server is back', async ({ page, demo }) => {
    await signIn(page, demo, streaming);
    await page.getByRole('switch', { name: 'Stream to Demo archive' }).click();
    await expect(page.getByText(/^Active\. First run started/)).toBeVisible();
    const host = new URL(demo.address).host;
    await demo.end();
    await expect(page.getByText('The server does not respond. The data on this page may be out of date.')).toBeVisible();
    await demo.start({ AUDITSTREAM_LISTEN: host });
    await expect(page.getByText('The server does not respond.')).toHaveCount(0);
  });
});

test.describe('a deleted object', () => {
  test.use({ allowed: ['404 (Not Found)'] });

  test('is reported as missing: a destination and a connector', async ({ page, demo }) => {
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
