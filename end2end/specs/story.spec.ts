// The reference page "Configure audit streaming" from the first to the last sentence, as an account
// admin would follow it.
import { readFileSync } from 'node:fs';
import type { Locator, Page } from '@playwright/test';
import { dense, read } from '../support/bucket.ts';
import { controls } from '../support/controls.ts';
import { expect, hydrated, picture, signIn, test } from '../support/fixtures.ts';
import { access, connectors, type Demo, logs, streaming } from '../support/server.ts';

test.use({ settings: { AUDITSTREAM_STREAM_INTERVAL: '2s' } });
test.setTimeout(600_000);

const recorded = readFileSync('../testkit/data/events.ndjson', 'utf8');

async function send(demo: Demo, token: string, body: string): Promise<{ accepted: number; duplicates: number }> {
  const response = await fetch(`${demo.address}/v1/audit-events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
    body,
  });
  expect(response.status).toBe(200);
  return (await response.json()) as { accepted: number; duplicates: number };
}

function row(page: Page, name: string): Locator {
  return page.locator('tbody.destination').filter({ has: page.getByText(name, { exact: true }) });
}

function toggle(page: Page, name: string): Locator {
  return page.getByRole('switch', { name: `Stream to ${name}` });
}

async function menu(page: Page, name: string): Promise<Locator> {
  await page.getByRole('button', { name: `Actions for ${name}` }).click();
  return row(page, name).getByRole('menu');
}

test('configure audit streaming', async ({ page, demo }) => {
  const watched = await controls(page);
  const token = demo.command(['token', 'create', '--name', 'story', '--scope', 'ingest,read']);

  await test.step('In your account, select Account Settings, Audit Trail, Audit Log Streaming', async () => {
    await signIn(page, demo, '/settings');
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Account Settings');
    await page.getByRole('main').getByRole('link', { name: 'Audit Trail' }).click();
    await page.getByRole('link', { name: 'Audit Log Streaming' }).click();
    await expect(page.getByText('Beta').first()).toBeVisible();
    await expect(page.getByText('Make sure you trust the streaming destination.')).toBeVisible();
    await expect(row(page, 'Demo archive').getByText('Not streamed yet')).toBeVisible();
  });

  await test.step('Select New Streaming Destination; name, Id, description and tags; Continue', async () => {
    await page.getByRole('link', { name: 'New Streaming Destination' }).first().click();
    const [name, id] = [page.getByLabel('Name', { exact: true }), page.getByLabel('Id', { exact: true })];
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await expect(page.getByText('A name is required.')).toBeVisible();
    await name.fill('Demo archive');
    await expect(id).toHaveValue('Demo_archive');
    await id.fill('demo_archive');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await expect(page.getByText('A destination with the id “demo_archive” already exists')).toBeVisible();
    await name.fill('2nd SIEM');
    await expect(id).toHaveValue('demo_archive');
    await id.fill('');
    await name.fill('2nd SIEM (EU)');
    await expect(id).toHaveValue('_2nd_SIEM_EU');
    await name.fill('2nd SIEM');
    await expect(id).toHaveValue('_2nd_SIEM');
    await page.getByLabel('Description (optional)').first().fill('Alerts of the security team');
    const tags = page.getByLabel('Tags (optional)');
    await tags.fill('team:security');
    await tags.press('Enter');
    await tags.fill('wrong');
    await tags.press('Enter');
    await page.getByRole('button', { name: 'Remove tag wrong' }).click();
    await tags.fill('eu');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await expect(page.getByRole('heading', { name: 'Streaming Connector' })).toBeVisible();
    await page.getByRole('button', { name: 'Back' }).click();
    await expect(page.getByText('team:security')).toBeVisible();
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
  });

  await test.step('Select Amazon S3; Select Connector: create a new one; Apply Selected', async () => {
    await page.getByRole('button', { name: 'Amazon S3', exact: true }).click();
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByText('Select a connector.')).toBeVisible();
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Select Connector' }).click();
    await dialog.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Select Connector' }).click();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Select Connector' }).click();
    await dialog.getByRole('searchbox').fill('nothing of this name');
    await expect(dialog.getByText('No connector matches')).toBeVisible();
    await dialog.getByRole('searchbox').fill('');
    await dialog.getByRole('button', { name: 'New AWS connector' }).click();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.getByRole('button', { name: 'New AWS connector' }).click();
    await dialog.getByLabel('Name', { exact: true }).fill('SIEM writer');
    await expect(dialog.getByLabel('Id', { exact: true })).toHaveValue('SIEM_writer');
    await dialog.getByLabel('Id', { exact: true }).fill('siem_writer');
    await dialog.getByLabel('Description (optional)').fill('Writes to the bucket of the SIEM');
    await dialog.getByLabel('Credentials', { exact: true }).selectOption('MANUAL');
    await dialog.getByLabel('Access key').fill(demo.store.accessKey);
    await dialog.getByLabel('Secret key').fill('not-the-secret-key');
    await dialog.getByLabel('Session token (optional)').fill('x');
    await dialog.getByLabel('Session token (optional)').fill('');
    await dialog.getByLabel('Region').fill('us-east-1');
    await dialog.getByLabel('Cross-account role ARN (optional)').fill('arn:aws:iam::123456789012:role/audit');
    await expect(dialog.getByText('sts:ExternalId')).toBeVisible();
    await dialog.getByRole('button', { name: 'Copy', exact: true }).click();
    await dialog.getByLabel('Cross-account role ARN (optional)').fill('');
    await dialog.getByLabel('Endpoint (optional)').fill('not an address');
    await dialog.getByLabel('Bucket in the path (path style)').check();
    await dialog.getByText('AWS Backoff Strategy').click();
    await dialog.getByLabel('Strategy').selectOption('EQUAL_JITTER');
    await dialog.getByLabel('First wait, ms').fill('10');
    await dialog.getByLabel('Longest wait, ms').fill('100');
    await dialog.getByLabel('Retries').fill('2');
    await dialog.getByRole('button', { name: 'Save connector' }).click();
    await expect(dialog.getByText('An endpoint is an address such as')).toBeVisible();
    await dialog.getByLabel('Endpoint (optional)').fill(demo.store.endpoint);
    await dialog.getByRole('button', { name: 'Save connector' }).click();
    await expect(dialog.getByRole('radio', { name: /SIEM writer/ })).toBeChecked();
    await picture(page, 'picker');
    await dialog.getByRole('button', { name: 'Apply Selected' }).click();
    await expect(page.getByRole('group', { name: 'Connector' }).getByText('siem_writer')).toBeVisible();
  });

  await test.step('Enter the bucket and the options; Save and Continue; the test fails with an explanation', async () => {
    await page.getByLabel('Amazon S3 Bucket').fill('Not a bucket');
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByText('A bucket name can contain only letters')).toBeVisible();
    await page.getByLabel('Amazon S3 Bucket').fill('audit-logs');
    await page.getByText('More options').click();
    await page.getByLabel('Prefix (optional)').fill('siem/');
    await page.getByLabel('Format').selectOption('ndjson');
    await page.getByLabel('Compression', { exact: true }).selectOption('gzip');
    await page.getByLabel('Start at').selectOption('oldest');
    await page.getByLabel('Encryption').selectOption('kms');
    await page.getByLabel('KMS key').fill('alias/audit');
    await page.getByLabel('Encryption').selectOption('none');
    await page.getByLabel('Storage class').selectOption('STANDARD_IA');
    await page.getByLabel('Storage class').selectOption('');
    await page.getByLabel('Write without conditions').check();
    await page.getByLabel('Write without conditions').uncheck();
    await page.getByLabel('Expected bucket owner (optional)').fill('12');
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByText("An AWS account id has 12 digits.")).toBeVisible();
    await page.getByLabel('Expected bucket owner (optional)').fill('');
    await page.getByText('Advanced', { exact: true }).click();
    await page.getByLabel('Events of an object').fill('many');
    await page.getByLabel('Size of an object').selectOption('67108864');
    await page.getByLabel('Interval').selectOption('10');
    await page.getByLabel('Interval').selectOption('');
    await page.getByLabel('Compression level (optional)').fill('12');
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByText('Enter a number of events from 1 to 100,000.')).toBeVisible();
    await expect(page.getByText('The levels of gzip are the whole numbers from 1 to 9.')).toBeVisible();
    await expect(page.getByLabel('Events of an object')).toBeFocused();
    await picture(page, 'wizard-advanced');
    await page.getByLabel('Events of an object').fill('200');
    await page.getByLabel('Compression level (optional)').fill('9');
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByText('Connection test failed')).toBeVisible();
    await expect(page.getByText('Check the access key and the secret key of the connector')).toBeVisible();
    await expect(page.getByRole('button', { name: 'Finish' })).toBeDisabled();
    await page.getByRole('button', { name: 'Test again' }).click();
    await expect(page.getByText('Connection test failed')).toBeVisible();
    await page.getByRole('button', { name: 'Check bucket access' }).click();
    await expect(page.getByText('The bucket check failed')).toBeVisible();
  });

  await test.step('Select another connector; after the test is successful, Finish', async () => {
    await page.getByRole('button', { name: 'Back' }).click();
    await page.getByRole('button', { name: 'Select Connector' }).click();
    await page.getByRole('radio', { name: /Demo S3/ }).check();
    await page.getByRole('button', { name: 'Apply Selected' }).click();
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByText('Connection test successful')).toBeVisible();
    await expect(page.getByText('The bucket is not part of the test')).toBeVisible();
    // The result with the other connector has been discarded.
    await expect(page.getByText('The bucket check failed')).toHaveCount(0);
    await page.getByRole('button', { name: 'Check bucket access' }).click();
    await expect(page.getByText('Streaming to this bucket works')).toBeVisible();
    await picture(page, 'wizard-test');
    await page.getByRole('button', { name: 'Finish' }).click();
    await expect(page).toHaveURL(streaming);
  });

  await test.step('By default, the destination is inactive, and nothing is written', async () => {
    await expect(toggle(page, '2nd SIEM')).toHaveAttribute('aria-checked', 'false');
    expect((await send(demo, token, recorded)).accepted).toBe(200);
    expect(read(demo).objects).toBe(0);
  });

  await test.step('Toggle the status to Active: audit logs are written at once, then at every interval', async () => {
    await toggle(page, '2nd SIEM').click();
    await expect(toggle(page, '2nd SIEM')).toHaveAttribute('aria-checked', 'true');
    await expect(row(page, '2nd SIEM').getByText(/Active\. First run started; next at \d\d:\d\d UTC/)).toBeVisible();
    await expect.poll(() => read(demo, 'siem/').sequences.length).toBeGreaterThan(500);
    await expect(page.locator('.card').filter({ hasText: 'Active Destinations' }).first().locator('dd')).toHaveText('1');
    const before = read(demo, 'siem/').sequences.length;
    const more = recorded.replaceAll(/"auditEventId":"/g, '"auditEventId":"again-');
    expect(await send(demo, token, more)).toMatchObject({ accepted: 200, duplicates: 0 });
    await expect.poll(() => read(demo, 'siem/').sequences.length).toBeGreaterThanOrEqual(before + 200);
  });

  await test.step('The expanded row shows the bucket and the objects; Stream now', async () => {
    await page.getByRole('button', { name: 'Details of 2nd SIEM' }).click();
    const details = row(page, '2nd SIEM').locator('tr.details');
    await expect(details.getByText('audit-logs')).toBeVisible();
    await details.getByRole('button', { name: 'Stream now' }).click();
    await expect(details.getByText('Run started.')).toBeVisible();
    await expect(details.getByText('Delivered').first()).toBeVisible();
    await picture(page, 'streaming');
    await page.getByRole('button', { name: 'Details of 2nd SIEM' }).click();
  });

  await test.step('You can pause by setting the status to Inactive; reactivated, it resumes where it was paused', async () => {
    await toggle(page, '2nd SIEM').click();
    await expect(row(page, '2nd SIEM').getByText('Inactive. Streaming is paused')).toBeVisible();
    const paused = read(demo, 'siem/').sequences.length;
    const more = recorded.replaceAll(/"auditEventId":"/g, '"auditEventId":"paused-');
    expect((await send(demo, token, more)).accepted).toBe(200);
    // Waits for a tick, which the other destination shows.
    await toggle(page, 'Demo archive').click();
    await expect.poll(() => read(demo, 'account=').sequences.length).toBeGreaterThan(paused + 200);
    expect(read(demo, 'siem/').sequences.length).toBe(paused);
    await toggle(page, '2nd SIEM').click();
    await expect.poll(() => read(demo, 'siem/').sequences.length).toBeGreaterThanOrEqual(paused + 200);
  });

  await test.step('Every event is streamed once, in order, and follows the payload schema', async () => {
    const bucket = read(demo, 'siem/');
    expect(bucket.invalid).toEqual([]);
    expect(bucket.sequences[0]).toBe(1);
    expect(dense(bucket.sequences)).toBe(true);
    expect(bucket.duckdb).toEqual({ events: bucket.sequences.length, ids: bucket.sequences.length });
  });

  await test.step('kill -9 while streaming: no event is lost or duplicated', async () => {
    const more = recorded.replaceAll(/"auditEventId":"/g, '"auditEventId":"killed-');
    await send(demo, token, more);
    // An open page would poll, and the browser would report the failures on its console.
    await page.goto('about:blank');
    await demo.end('SIGKILL');
    await demo.start({ AUDITSTREAM_STREAM_INTERVAL: '2s', AUDITSTREAM_LISTEN: new URL(demo.address).host });
    expect((await send(demo, token, more)).duplicates).toBe(200);
    const last = () => fetch(`${demo.address}/v1/audit-events?limit=1&q=killed-`, { headers: { authorization: `Bearer ${token}` } });
    const newest = ((await (await last()).json()) as { events: { auditEventMetadata: { sequence: number } }[] }).events[0]!;
    await expect
      .poll(() => read(demo, 'siem/').sequences.at(-1) ?? 0)
      .toBeGreaterThanOrEqual(newest.auditEventMetadata.sequence);
    expect(dense(read(demo, 'siem/').sequences)).toBe(true);
  });

  await test.step('Edit: another connector or other settings', async () => {
    await page.goto(streaming);
    await hydrated(page);
    await (await menu(page, '2nd SIEM')).getByRole('menuitem', { name: 'Edit' }).click();
    await hydrated(page);
    await expect(page.getByLabel('Id', { exact: true })).not.toBeEditable();
    await expect(page.getByText('team:security')).toBeVisible();
    await page.getByLabel('Name', { exact: true }).fill('EU SIEM');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await expect(page.getByText('Demo S3').first()).toBeVisible();
    await expect(page.getByLabel('Events of an object')).toHaveValue('200');
    await expect(page.getByLabel('Compression level (optional)')).toHaveValue('9');
    await page.getByRole('button', { name: 'Save and Continue' }).click();
    await expect(page.getByText('Connection test successful')).toBeVisible();
    await page.getByRole('button', { name: 'Finish' }).click();
    await expect(toggle(page, 'EU SIEM')).toHaveAttribute('aria-checked', 'true');
    await (await menu(page, 'EU SIEM')).getByRole('menuitem', { name: 'Edit' }).click();
    await hydrated(page);
    await page.getByRole('link', { name: 'Cancel' }).click();
    await expect(page).toHaveURL(streaming);
  });

  await test.step('Delete: refused while active; then after typing the name', async () => {
    const entries = await menu(page, 'EU SIEM');
    await expect(entries.getByRole('menuitem', { name: 'Delete' })).toBeDisabled();
    await expect(entries.getByText('Active destinations cannot be deleted.')).toBeVisible();
    await page.keyboard.press('Escape');
    await toggle(page, 'EU SIEM').click();
    await expect(row(page, 'EU SIEM').getByText('Inactive. Streaming is paused')).toBeVisible();
    await (await menu(page, 'EU SIEM')).getByRole('menuitem', { name: 'Delete' }).click();
    const dialog = page.getByRole('dialog');
    await expect(dialog.getByRole('button', { name: 'Delete' })).toBeDisabled();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await (await menu(page, 'EU SIEM')).getByRole('menuitem', { name: 'Delete' }).click();
    await dialog.getByRole('textbox').fill('EU SIEM');
    await picture(page, 'delete');
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await expect(row(page, 'EU SIEM')).toHaveCount(0);
    expect(dense(read(demo, 'siem/').sequences)).toBe(true);
  });

  await test.step('Audit Logs shows all of that', async () => {
    await page.getByRole('link', { name: 'Audit Logs' }).click();
    await page.getByLabel('Time range').selectOption('1d');
    await page.getByLabel('Search').fill('_2nd_SIEM');
    await page.getByLabel('Show', { exact: true }).selectOption('no_login');
    await page.getByText('More filters').click();
    for (const field of ['User', 'Action', 'Resource type', 'Resource', 'Organization', 'Project', 'Module']) {
      await page.getByLabel(field, { exact: true }).fill('STREAMING_DESTINATION');
      if (field !== 'Resource type') await page.getByLabel(field, { exact: true }).fill('');
    }
    await page.getByRole('button', { name: 'Apply' }).click();
    await expect(page).toHaveURL(/resource_type=STREAMING_DESTINATION/);
    const events = page.getByRole('region', { name: 'Audit events' });
    for (const action of ['CREATE', 'UPDATE', 'DELETE']) await expect(events.getByText(action).first()).toBeVisible();
    await events.getByRole('button', { name: /^View details/ }).first().click();
    const drawer = page.getByRole('dialog');
    await expect(drawer.getByText('Event Source')).toBeVisible();
    await expect(drawer.getByRole('row', { name: 'destination.spec.bucket audit-logs –' })).toBeVisible();
    await expect(drawer.getByLabel('JSON of the event')).toContainText('"difference"');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await drawer.getByRole('button', { name: 'Copy as JSON' }).click();
    await expect(drawer.getByText('Copied.')).toBeVisible();
    await picture(page, 'drawer');
    await drawer.getByRole('button', { name: 'Close' }).click();
    const exported = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Export' }).click();
    const lines = readFileSync(await (await exported).path(), 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(7);
    for (const line of lines) expect(JSON.parse(line).auditResource.type).toBe('STREAMING_DESTINATION');
    await page.getByRole('link', { name: 'Clear all' }).click();
    await expect(page).toHaveURL(logs);
    await page.getByRole('link', { name: 'Next page' }).click();
    await expect(page).toHaveURL(/cursor=/);
    await page.getByRole('link', { name: 'First page' }).click();
    await expect(page).not.toHaveURL(/cursor=/);
    await send(demo, token, recorded.split('\n')[0]!.replace('"auditEventId":"', '"auditEventId":"live-').replace(/"auditEventTime":"\d+"/, `"auditEventTime":"${Date.now()}"`));
    await page.getByRole('button', { name: /new events?/ }).click();
    await expect(page.getByRole('button', { name: /new events?/ })).toHaveCount(0);
  });

  await test.step('The page of a destination; skip or replay', async () => {
    await page.getByRole('link', { name: 'Audit Log Streaming' }).click();
    await page.getByRole('link', { name: 'Demo archive' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Demo archive');
    await expect(page.getByText('Events per object')).toBeVisible();
    await expect(page.getByText('Up to 10,000 events or 16 MiB, gzip at level 6')).toBeVisible();
    await expect(page.getByRole('region', { name: 'Objects' }).getByText('Delivered').first()).toBeVisible();
    await page.getByRole('button', { name: 'Stream now' }).click();
    await expect(page.getByText('Run started.')).toBeVisible();
    await page.getByText('Bucket access', { exact: true }).click();
    await page.getByRole('button', { name: 'Check bucket access' }).click();
    await expect(page.getByText('Streaming to this bucket works')).toBeVisible();
    await expect(page.getByText('The store refuses to overwrite')).toBeVisible();
    await picture(page, 'destination');
    await page.getByText('Skip or replay').click();
    await expect(page.getByText('Set the status to Inactive first.')).toBeVisible();
    await toggle(page, 'Demo archive').click();
    await expect(page.getByText('Inactive. Streaming is paused')).toBeVisible();
    const before = read(demo, 'account=').sequences.length;
    const sequence = page.getByLabel('Last sequence to treat as delivered');
    await sequence.fill('ten');
    await page.getByRole('button', { name: 'Move the cursor' }).click();
    await expect(page.getByText('Enter a whole number, 0 or more')).toBeVisible();
    await sequence.fill('10');
    await expect(page.getByText(/events will be sent again under new object names/)).toBeVisible();
    await page.getByRole('button', { name: 'Move the cursor' }).click();
    await expect(page.locator('.card').filter({ hasText: 'Streamed up to' }).locator('.figure')).toHaveText('10');
    await toggle(page, 'Demo archive').click();
    await expect.poll(() => read(demo, 'account=').sequences.length).toBeGreaterThan(before + 500);
    await page.getByRole('main').getByRole('link', { name: 'Demo S3' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Demo S3');
    await page.goBack();
    await page.goBack();
    await row(page, 'Demo archive').getByRole('link', { name: 'Demo S3' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Demo S3');
    await page.goBack();
    await page.getByRole('link', { name: 'Demo archive' }).click();
    await page.getByRole('link', { name: 'Edit' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Edit Streaming Destination');
  });

  await test.step('Connectors, their test, and their uses', async () => {
    await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: 'Connectors' }).click();
    await page.getByRole('button', { name: 'Test Demo S3' }).click();
    await expect(page.getByText('Connection test successful')).toBeVisible();
    await expect(page.getByRole('button', { name: 'Delete Demo S3' })).toBeDisabled();
    await expect(page.getByText('In use by demo_archive. Point it to another connector first.')).toBeVisible();
    await page.getByRole('button', { name: 'Delete SIEM writer' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Delete SIEM writer' }).click();
    await page.getByRole('dialog', { name: 'Delete connector' }).getByRole('button', { name: 'Delete' }).click();
    await expect(page.getByText('SIEM writer')).toHaveCount(0);
    await page.getByRole('link', { name: 'New AWS connector' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('New AWS connector');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect(page).toHaveURL(connectors);
    await page.getByRole('link', { name: 'Demo S3' }).click();
    await page.getByRole('button', { name: 'Test connection' }).click();
    await expect(page.getByText('Connection test successful')).toBeVisible();
    await page.getByRole('link', { name: 'demo_archive' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Demo archive');
  });

  await test.step('Retention: a longer one applies at once', async () => {
    await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: 'Retention' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Retention');
    await page.getByLabel('Days').fill('a year');
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByText('Enter a whole number of days.')).toBeVisible();
    await page.getByLabel('Days').fill('800');
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByText('800 days').first()).toBeVisible();
  });

  await test.step('Access: users, tokens, sign-ins and your account', async () => {
    await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: 'Access' }).click();
    await page.getByRole('button', { name: 'Invite user' }).click();
    await page.getByRole('dialog').getByLabel('E-mail').fill('ann@example.com');
    await page.getByLabel('Role', { exact: true }).selectOption('account_admin');
    await page.getByRole('button', { name: 'Invite', exact: true }).click();
    await page.getByRole('button', { name: 'Copy link' }).click();
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByLabel('Role of').selectOption('account_admin');
    await page.getByRole('button', { name: `Actions for ${demo.email}` }).click();
    await page.getByRole('menuitem', { name: 'Your account' }).click();
    for (const [old, next] of [[demo.password, 'a sentence for a while'], ['a sentence for a while', demo.password]] as const) {
      await page.getByLabel('Current password').fill(old);
      await page.getByLabel('New password').fill(next);
      await page.getByRole('button', { name: 'Change password' }).click();
      await expect(page.getByLabel('Current password')).toHaveValue('');
      await expect(page.getByText('Password changed.')).toBeVisible();
    }
    await page.getByRole('link', { name: 'Users' }).click();
    await page.getByRole('link', { name: 'API tokens' }).click();
    await page.getByRole('button', { name: 'Revoke story' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('button', { name: 'New API token' }).click();
    const dialog = page.getByRole('dialog', { name: 'New API token' });
    await dialog.getByLabel('Name').fill('SIEM');
    for (const scope of ['ingest', 'read', 'admin']) await dialog.getByLabel(scope).check();
    await dialog.getByLabel('Expires').selectOption('30');
    await page.getByRole('button', { name: 'Create token' }).click();
    await page.getByRole('button', { name: 'Copy token' }).click();
    await page.getByRole('button', { name: 'Copy command' }).click();
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: 'Revoke SIEM' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('link', { name: 'API reference' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Auditstream API');
    await page.goBack();
    await hydrated(page);
    for (const which of ['sign-ins', 'refused sign-ins', 'sign-outs']) {
      await page.getByRole('link', { name: 'Sign-ins', exact: true }).click();
      await page.getByRole('main').getByRole('link', { name: which, exact: true }).last().click();
      await expect(page).toHaveURL(/action=\w+&range=all/);
      await page.getByText('More filters (1)').click();
      // There was no refused sign-in.
      if (which === 'refused sign-ins') await page.getByRole('link', { name: 'Clear filters' }).click();
      await page.goto(`${access}/you`);
    }
    await page.getByRole('link', { name: 'Your account' }).first().click();
    await page.goto(`${streaming}/demo_archive`);
    await hydrated(page);
  });

  await test.step('The frame: breadcrumbs, navigation, theme, sign-out', async () => {
    const breadcrumbs = page.getByRole('navigation', { name: 'Breadcrumbs' });
    await breadcrumbs.getByRole('link', { name: 'Audit Log Streaming' }).click();
    await expect(page).toHaveURL(streaming);
    await page.goto(`${streaming}/new`);
    await hydrated(page);
    await breadcrumbs.getByRole('link', { name: 'Audit Trail' }).click();
    await expect(page).toHaveURL(logs);
    await breadcrumbs.getByRole('link', { name: 'Account Settings' }).click();
    await page.getByRole('main').getByRole('link', { name: 'Connectors' }).click();
    const breadcrumb = page.getByRole('main').getByRole('link', { name: 'New AWS connector' });
    await breadcrumb.click();
    await breadcrumbs.getByRole('link', { name: 'Connectors' }).click();
    const side = page.getByRole('navigation', { name: 'Console' });
    await side.getByRole('link', { name: 'Audit Trail' }).click();
    await side.getByRole('link', { name: 'Overview' }).click();
    await page.getByRole('banner').getByRole('link', { name: 'Auditstream' }).click();
    await page.getByLabel('Theme').selectOption('dark');
    await page.reload();
    await hydrated(page);
    await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
    await page.keyboard.press('Tab');
    await page.getByRole('link', { name: 'Skip to content' }).press('Enter');
    await page.getByRole('banner').getByRole('link', { name: demo.email }).click();
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await expect(page).toHaveURL('/sign-in');
    await signIn(page, demo, `${access}/you`);
    await page.getByRole('button', { name: 'Sign out everywhere' }).click();
    await expect(page).toHaveURL('/sign-in');
  });

  expect(watched.unused()).toEqual([]);
});
