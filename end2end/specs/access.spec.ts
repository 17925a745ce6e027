// Users, their links and passwords, and API tokens.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Browser, BrowserContext, Locator, Page } from '@playwright/test';
import AxeBuilder from '@axe-core/playwright';
import { expect, hydrated, picture, signIn, test } from '../support/fixtures.ts';
import { access, type Demo, streaming } from '../support/server.ts';

const ann = { email: 'ann@example.com', password: 'a sentence that ann remembers' };

// These tests include refusals.
test.use({ allowed: ['status of 4'] });
test.setTimeout(300_000);

function row(page: Page, name: string): Locator {
  return page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });
}

async function choose(page: Page, email: string, action: string): Promise<void> {
  await page.getByRole('button', { name: `Actions for ${email}` }).click();
  await page.getByRole('menuitem', { name: action, exact: true }).click();
}

/** Returns the secret in the dialog and closes it. */
async function shownOnce(page: Page): Promise<string> {
  const dialog = page.getByRole('dialog').filter({ hasText: 'not shown again' });
  const secret = await dialog.locator('.one-time-secret code').innerText();
  await page.keyboard.press('Escape');
  await dialog.getByRole('button', { name: 'Done' }).click();
  await expect(dialog).toBeHidden();
  // It is no longer in the page, not even hidden.
  expect(await page.content()).not.toContain(secret);
  return secret;
}

async function invite(page: Page, email: string, role: string): Promise<string> {
  await page.getByRole('button', { name: 'Invite user' }).click();
  const dialog = page.getByRole('dialog', { name: 'Invite user' });
  await expect(dialog.getByLabel('E-mail')).toBeFocused();
  await page.keyboard.type(email);
  await dialog.getByLabel('Role').selectOption(role);
  await dialog.getByRole('button', { name: 'Invite', exact: true }).click();
  return shownOnce(page);
}

/** Opens another user's browser. */
async function elsewhere(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext(options);
  return { context, page: await context.newPage() };
}

async function enter(page: Page, demo: Demo, person: { email: string; password: string }): Promise<void> {
  await page.goto(`${demo.address}/sign-in`);
  await hydrated(page);
  await page.getByLabel('E-mail').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

test('an invited user can look, becomes an admin, is signed out, and is removed', async ({ page, demo, browser }) => {
  await signIn(page, demo, access);
  await expect(row(page, demo.email)).toContainText('You');
  const link = await invite(page, ann.email, 'account_viewer');
  expect(link).toMatch(new RegExp(`^${demo.address}/invitation\\?token=[\\w-]{43}$`));
  await expect(row(page, ann.email)).toContainText('Invited');
  await expect(row(page, ann.email)).toContainText('Link expires in 2 days');

  const other = await elsewhere(browser);
  await test.step('The link sets a password, once', async () => {
    await other.page.goto(link);
    await expect(other.page.getByText('You are invited to the account default.')).toBeVisible();
    await expect(other.page.getByLabel('E-mail')).toHaveValue(ann.email);
    await other.page.getByLabel('New password').fill(ann.password);
    await other.page.getByRole('button', { name: 'Set password and sign in' }).click();
    await expect(other.page).toHaveURL(`${demo.address}/settings`);
    await other.page.goto(link);
    await expect(other.page.getByRole('heading', { name: 'This link cannot be used' })).toBeVisible();
    await expect(other.page.locator('form')).toHaveCount(0);
  });

  await test.step('A viewer can see neither users nor tokens', async () => {
    await other.page.goto(`${demo.address}${access}`);
    await hydrated(other.page);
    await expect(other.page.getByText('Your role, Account Viewer, can look but not change.')).toBeVisible();
    await expect(other.page.getByText(demo.email)).toHaveCount(0);
    await picture(other.page, 'access-viewer');
    await other.page.getByRole('link', { name: 'API tokens' }).click();
    await expect(other.page.getByText('Only account admins can see API tokens')).toBeVisible();
    await expect(other.page.getByRole('button', { name: 'New API token' })).toHaveCount(0);
    const refused = await other.page.evaluate(async () => {
      const ask = (path: string, body: unknown) =>
        fetch(`/api/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      return [(await ask('users', {})).status, (await ask('api-tokens', {})).status];
    });
    expect(refused).toEqual([403, 403]);
  });

  await test.step('Another role takes effect with the next click', async () => {
    await page.reload();
    await hydrated(page);
    await expect(row(page, ann.email)).toContainText('Active');
    await page.getByLabel(`Role of ${ann.email}`).selectOption('account_admin');
    await expect(page.getByText('Changing the role…')).toHaveCount(0);
    await other.page.goto(`${demo.address}${streaming}`);
    await expect(other.page.getByRole('link', { name: 'New Streaming Destination' }).first()).toBeVisible();
  });

  await test.step('Sign out everywhere, then sign in with a new password', async () => {
    await choose(page, ann.email, 'Sign out everywhere');
    await expect(page.getByText('Signed out everywhere.')).toBeVisible();
    await other.page.reload();
    await expect(other.page).toHaveURL(/\/sign-in/);
    await choose(page, ann.email, 'New password link');
    const again = await shownOnce(page);
    await expect(row(page, ann.email)).toContainText('Password link expires');
    await other.page.goto(again);
    await expect(other.page.getByRole('heading', { name: 'Set a new password' })).toBeVisible();
    await other.page.getByLabel('New password').fill(`${ann.password} again`);
    await other.page.getByRole('button', { name: 'Set password and sign in' }).click();
    await expect(other.page).toHaveURL(`${demo.address}/settings`);
  });

  await test.step('Remove after confirmation', async () => {
    await choose(page, ann.email, 'Remove');
    const question = page.getByRole('dialog', { name: 'Remove user' });
    await question.getByRole('button', { name: 'Cancel' }).click();
    await expect(row(page, ann.email)).toBeVisible();
    await choose(page, ann.email, 'Remove');
    await picture(page, 'access-remove');
    await question.getByRole('button', { name: 'Remove' }).click();
    await expect(page.getByText(ann.email)).toHaveCount(0);
    await other.page.reload();
    await expect(other.page).toHaveURL(/\/sign-in/);
  });

  await test.step('Sign-ins shows all of that', async () => {
    await page.getByRole('link', { name: 'Sign-ins', exact: true }).click();
    await expect(row(page, ann.email).first()).toContainText('Signed');
  });
  await other.context.close();
});

test('an invitation can be renewed and withdrawn, and an address can be invited once', async ({ page, demo, browser }) => {
  await signIn(page, demo, access);
  const first = await invite(page, ann.email, 'account_viewer');
  await choose(page, ann.email, 'New link');
  const second = await shownOnce(page);
  const other = await elsewhere(browser);
  await other.page.goto(first);
  await expect(other.page.getByRole('heading', { name: 'This link cannot be used' })).toBeVisible();
  await choose(page, ann.email, 'Withdraw');
  await expect(page.getByText(ann.email)).toHaveCount(0);
  await other.page.goto(second);
  await expect(other.page.getByRole('heading', { name: 'This link cannot be used' })).toBeVisible();
  await other.context.close();

  await page.getByRole('button', { name: 'Invite user' }).click();
  const dialog = page.getByRole('dialog', { name: 'Invite user' });
  for (const [email, sentence] of [
    ['no address', 'An e-mail address looks like ann@example.com.'],
    [demo.email, `There is already a user with the address ${demo.email}.`],
  ] as const) {
    await dialog.getByLabel('E-mail').fill(email);
    await dialog.getByRole('button', { name: 'Invite', exact: true }).click();
    await expect(dialog.getByText(sentence)).toBeVisible();
    await expect(dialog.getByLabel('E-mail')).toHaveValue(email);
  }
});

test('the last admin keeps the role, and the row says why', async ({ page, demo }) => {
  await signIn(page, demo, access);
  const role = page.getByLabel(`Role of ${demo.email}`);
  await role.selectOption('account_viewer');
  const question = page.getByRole('dialog', { name: 'Change your own role' });
  await question.getByRole('button', { name: 'Cancel' }).click();
  await expect(role).toHaveValue('account_admin');
  await role.selectOption('account_viewer');
  await question.getByRole('button', { name: 'Change my role' }).click();
  await expect(row(page, demo.email).getByText(`${demo.email} is the last account admin`)).toBeVisible();
  await expect(role).toHaveValue('account_admin');
  await picture(page, 'access-last-admin');
  await page.getByRole('button', { name: `Actions for ${demo.email}` }).click();
  await expect(page.getByRole('menuitem', { name: 'Remove' })).toBeDisabled();
});

test('a token can be created and used, and is refused once revoked', async ({ page, demo }) => {
  await signIn(page, demo, `${access}/tokens`);
  const make = page.getByRole('button', { name: 'New API token' });
  await make.click();
  const dialog = page.getByRole('dialog', { name: 'New API token' });
  await dialog.getByRole('button', { name: 'Create token' }).click();
  await expect(dialog.getByText('Select at least one scope')).toBeVisible();
  await dialog.getByLabel('Name').fill('SIEM');
  await dialog.getByLabel('ingest').check();
  await dialog.getByLabel('read').check();
  await expect(dialog.getByLabel('Expires')).toHaveValue('90');
  await picture(page, 'access-new-token');
  await dialog.getByRole('button', { name: 'Create token' }).click();
  await expect(page.getByText(`curl ${demo.address}/v1/audit-events`)).toBeVisible();
  await picture(page, 'access-token-shown');
  const command = await page.getByLabel('Command').innerText();
  const token = await shownOnce(page);
  expect(token).toMatch(/^auditstream_[\w-]{43}$/);
  await expect(row(page, 'SIEM')).toContainText('Never used');

  const event = command.match(/-d '(.*)'/)?.[1] ?? '';
  const ask = (method: string, body?: string) =>
    fetch(`${demo.address}/v1/audit-events`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body,
    });
  const sent = await ask('POST', event);
  expect([sent.status, ((await sent.json()) as { accepted: number }).accepted]).toEqual([200, 1]);
  expect((await ask('GET')).status).toBe(200);
  await page.reload();
  await hydrated(page);
  await expect(row(page, 'SIEM')).not.toContainText('Never used');

  await make.click();
  await dialog.getByLabel('Name').fill('SIEM');
  await dialog.getByLabel('read').check();
  await dialog.getByRole('button', { name: 'Create token' }).click();
  await expect(dialog.getByText('There is already an API token with the name “SIEM”.')).toBeVisible();
  await dialog.getByRole('button', { name: 'Cancel' }).click();

  await page.getByRole('button', { name: 'Revoke SIEM' }).click();
  const question = page.getByRole('dialog', { name: 'Revoke API token' });
  await picture(page, 'access-revoke');
  await question.getByRole('button', { name: 'Revoke' }).click();
  await expect(row(page, 'SIEM')).toHaveCount(0);
  await expect(make).toBeFocused();
  expect((await ask('GET')).status).toBe(401);
});

test('changing the password ends the other sessions; signing out everywhere ends this one as well', async ({ page, demo, browser }) => {
  await signIn(page, demo, `${access}/you`);
  const other = await elsewhere(browser);
  await enter(other.page, demo, { email: demo.email, password: demo.password });
  await expect(other.page).toHaveURL(`${demo.address}/settings`);
  const [current, next] = [page.getByLabel('Current password'), page.getByLabel('New password')];
  const change = page.getByRole('button', { name: 'Change password' });
  await current.fill('not this one');
  await next.fill('another sentence altogether');
  await change.click();
  await expect(page.getByText('This is not your current password.')).toBeVisible();
  await expect(next).toHaveValue('another sentence altogether');
  await current.fill(demo.password);
  await next.fill('short');
  await change.click();
  await expect(page.getByText('A password has 12 to 256 characters.')).toBeVisible();
  await next.fill('another sentence altogether');
  await change.click();
  await expect(page.getByText('Password changed. Your other sessions have ended.')).toBeVisible();
  await expect(current).toHaveValue('');
  await other.page.reload();
  await expect(other.page).toHaveURL(/\/sign-in/);
  await other.context.close();
  await page.reload();
  await hydrated(page);
  await expect(page).toHaveURL(`${access}/you`);
  await page.getByRole('button', { name: 'Sign out everywhere' }).click();
  await expect(page).toHaveURL('/sign-in');
  await page.goto('/settings');
  await expect(page).toHaveURL(/\/sign-in/);
});

test('the users page works with the keyboard alone', async ({ page, demo }) => {
  demo.command(['user', 'create', '--email', ann.email, '--role', 'account_viewer'], { AUDITSTREAM_PASSWORD: ann.password });
  await signIn(page, demo, access);
  await page.getByRole('button', { name: `Actions for ${ann.email}` }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitem', { name: 'New password link' })).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('menuitem', { name: 'Remove' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog', { name: 'Remove user' }).getByRole('button', { name: 'Cancel' })).toBeFocused();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByText(ann.email)).toHaveCount(0);
  await expect(page.getByRole('region', { name: 'Users' })).toBeFocused();
});

test.describe('a connection test', () => {
  test.use({ allowed: ['status of 4', 'net::ERR', 'network error'] });

  test('shows its steps as they run, and reports a lost connection to the server', async ({ page, demo }) => {
    // Accepts connections and never responds.
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const token = demo.command(['token', 'create', '--name', 'maker', '--scope', 'admin']);
    const { port } = silent.address() as AddressInfo;
    const made = await fetch(`${demo.address}/v1/connectors`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        identifier: 'silent',
        name: 'Silent',
        spec: {
          type: 'AWS',
          region: 'us-east-1',
          endpoint: `http://127.0.0.1:${port}`,
          credentials: { type: 'MANUAL', access_key: 'AKIATEST', secret_key: 'secret' },
        },
      }),
    });
    expect(made.status).toBe(201);
    await signIn(page, demo, '/settings/connectors/silent/edit');
    await page.getByRole('button', { name: 'Test connection' }).click();
    const steps = page.locator('.test-steps li');
    await expect(steps).toContainText(['Passed', 'Running', 'Waiting']);
    await expect(page.getByRole('button', { name: 'Testing…' })).toBeDisabled();
    await picture(page, 'test-running');
    await demo.end('SIGKILL');
    await expect(page.getByText('was lost before the test ended')).toBeVisible();
    await expect(steps).toContainText(['Passed', 'Unknown', 'Waiting']);
    await expect(page.getByRole('button', { name: 'Retry' })).toBeVisible();
    await picture(page, 'test-broken-off');
    silent.close();
  });
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('an invitation works, and a refused password does not use it up', async ({ page, demo, browser }) => {
    const admin = await elsewhere(browser, { baseURL: demo.address, javaScriptEnabled: true });
    await signIn(admin.page, demo, access);
    const link = await invite(admin.page, ann.email, 'account_viewer');
    await admin.context.close();
    await page.goto(link);
    // The browser checks the length, and so does the server.
    const refused = await page.request.post('/invitation', {
      form: { token: new URL(link).searchParams.get('token') ?? '', password: 'short' },
    });
    expect(await refused.text()).toContain('Enter a password of 12 to 256 characters');
    await page.goto(link);
    await page.getByLabel('New password').fill(ann.password);
    await page.getByRole('button', { name: 'Set password and sign in' }).click();
    await expect(page).toHaveURL('/settings');
    await page.goto(access);
    await expect(page.getByText('Your role, Account Viewer, can look but not change.')).toBeVisible();
    await page.goto(link);
    await expect(page.getByRole('heading', { name: 'This link cannot be used' })).toBeVisible();
    expect(await page.locator('form').count()).toBe(0);
  });
});

for (const theme of ['light', 'dark'] as const) {
  for (const width of [1280, 390]) {
    test(`dialogs pass axe and fit: ${theme}, ${width} px`, async ({ page, demo }) => {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme: theme });
      const look = async (name: string) => {
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map((found) => `${name}: ${found.id} ${found.nodes[0]?.html}`)).toEqual([]);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(wider, name).toBeLessThanOrEqual(0);
        await picture(page, `${name}-${theme}-${width}`);
      };
      await signIn(page, demo, access);
      await page.getByRole('button', { name: 'Invite user' }).click();
      await page.getByRole('dialog').getByLabel('E-mail').fill(ann.email);
      await look('access-invite');
      await page.getByRole('button', { name: 'Invite', exact: true }).click();
      await expect(page.getByRole('dialog', { name: `Invitation for ${ann.email}` })).toBeVisible();
      await look('access-link');
      const link = await shownOnce(page);
      await look('access-users');
      await page.getByRole('button', { name: `Actions for ${ann.email}` }).click();
      await look('access-menu');
      await page.keyboard.press('Escape');
      await page.goto(`${access}/tokens`);
      await hydrated(page);
      await look('access-no-tokens');
      await page.getByRole('button', { name: 'New API token' }).click();
      await page.getByRole('dialog').getByLabel('Name').fill('Reader');
      await page.getByRole('dialog').getByLabel('read').check();
      await look('access-new-token');
      await page.getByRole('button', { name: 'Create token' }).click();
      await expect(page.getByRole('dialog', { name: 'API token Reader' })).toBeVisible();
      await look('access-token');
      await shownOnce(page);
      await look('access-tokens');
      await page.getByRole('button', { name: 'Revoke Reader' }).click();
      await look('access-revoke');
      for (const path of ['sign-ins', 'you']) {
        await page.goto(`${access}/${path}`);
        await hydrated(page);
        await look(`access-${path}`);
      }
      await page.goto(streaming);
      await hydrated(page);
      await page.getByRole('button', { name: 'Actions for Demo archive' }).click();
      await page.getByRole('menuitem', { name: 'Delete' }).click();
      await expect(page.getByText('It was never activated')).toBeVisible();
      await look('delete-destination');
      await page.goto(link);
      await hydrated(page);
      await look('invitation');
    });
  }
}
