// Secrets are write-only: a run with marked secrets, then a search for them in all its traces.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '../support/fixtures.ts';
import { Installation } from '../support/installation.ts';
import { places, receiver, Run, sqlite } from '../support/run.ts';
import { type Exception, leaks } from '../support/search.ts';
import { connectors, logs, streaming } from '../support/server.ts';

test.use({ allowed: ['Failed to load resource'] });
test.setTimeout(300_000);

/** Triggers that make statements fail, so that requests end as server errors. */
const faults = ['connector', 'session', 'webhook', 'console_user'].flatMap((table) => ['INSERT', 'UPDATE'].map((verb) => ({ table, verb })));

test('marked secrets are found only where they are shown by design', async ({ page, demo, context }) => {
  const run = new Run(page);
  const { secrets, evidence, recorder } = run;
  const { planted } = secrets;
  await recorder.start();
  const { server: hooks, url: hook } = await receiver(evidence);

  const email = `${planted.word}@example.com`;
  const password = secrets.text('password of the admin');
  const wrongPassword = secrets.text('wrong password');
  const viewerPassword = secrets.text('password of the viewer');
  const metricsToken = secrets.text('metrics token', '+/=.');
  const wrongKey = secrets.text('secret key that is wrong', '+/=');
  const session = secrets.text('session token', '+/=');
  secrets.known('secret key of the store', demo.store.secretKey);
  const common = { AUDITSTREAM_LISTEN: '127.0.0.1:0', AUDITSTREAM_PUBLIC_URL: recorder.address, RUST_LOG: 'trace', RUST_BACKTRACE: '1' };
  const server = new Installation({
    ...common,
    AUDITSTREAM_MASTER_KEY: secrets.key('master key'),
    AUDITSTREAM_ADMIN_PASSWORD: password,
    AUDITSTREAM_METRICS_TOKEN: metricsToken,
    AUDITSTREAM_STREAM_INTERVAL: '1s',
  });
  const fresh = new Installation(common);

  const connector = (identifier: string, credentials: unknown) => ({
    identifier,
    name: identifier,
    spec: { type: 'AWS', region: 'us-east-1', endpoint: demo.store.endpoint, path_style: true, credentials },
  });
  const manual = (secret?: string, token?: string) => ({
    type: 'MANUAL', access_key: demo.store.accessKey, secret_key: secret, session_token: token,
  });
  const destination = (identifier: string, status: string, spec: object, connector_ref = 'right') => ({
    identifier, name: identifier, status, connector_ref, spec: { type: 'AWS_S3', start_at: 'oldest', prefix: `${identifier}/`, ...spec },
  });

  try {
    await server.start(['--admin-email', email]);
    recorder.server = server.address;

    await test.step('Sign-in, with wrong passwords and the right one', async () => {
      await run.look(`${streaming}?q=${planted.word}`);
      await run.signIn(email, wrongPassword);
      await expect(page.getByText('The e-mail or the password is wrong')).toBeVisible();
      await run.signIn(`${secrets.text('password like an e-mail', '@')}.com`, password);
      await expect(page.getByText('The e-mail or the password is wrong')).toBeVisible();
      const mistaken = new URLSearchParams([['email', secrets.text('password typed as e-mail')], ['password', password]]);
      await fetch(`${recorder.address}/sign-in`, { method: 'POST', body: mistaken, redirect: 'manual' });
      const twice = new URLSearchParams([['email', email], ['password', wrongPassword], ['password', password]]).toString();
      for (const [type, body] of [['application/x-www-form-urlencoded', twice], ['application/json', JSON.stringify({ email, password })]] as const) {
        const response = await fetch(`${recorder.address}/sign-in`, { method: 'POST', headers: { 'content-type': type }, body });
        expect(response.status).toBeGreaterThanOrEqual(400);
      }
      await run.signIn(email, password);
      await expect(page).toHaveURL(`${recorder.address}${streaming}?q=${planted.word}`);
    });

    await test.step('Connectors: created with wrong secrets, tested, corrected, tested', async () => {
      await run.look(`${connectors}/new`);
      await page.getByLabel('Name', { exact: true }).fill('right');
      await page.getByLabel('Access key').fill(demo.store.accessKey);
      await page.getByLabel('Secret key').fill(wrongKey);
      await page.getByLabel('Session token (optional)').fill(session);
      await page.getByLabel('Endpoint (optional)').fill('not an address');
      await page.getByRole('button', { name: 'Save connector' }).click();
      await expect(page.getByText('An endpoint is an address such as')).toBeVisible();
      await run.look();
      await page.getByLabel('Endpoint (optional)').fill(demo.store.endpoint);
      await page.getByLabel('Bucket in the path (path style)').check();
      await page.getByRole('button', { name: 'Save connector' }).click();
      await page.getByRole('button', { name: 'Test right' }).click();
      await expect(page.getByText('Connection test failed')).toBeVisible();
      await run.look();
      await run.look(`${connectors}/right/edit`);
      await page.getByLabel('Secret key').fill(demo.store.secretKey);
      await page.getByLabel('Session token (optional)').fill(secrets.text('session token of the edit', '+/='));
      await page.getByRole('button', { name: 'Save connector' }).click();
      await expect(page).toHaveURL(recorder.address + connectors);
      await run.look(`${connectors}/right/edit`);
      await page.getByRole('button', { name: 'Test connection' }).click();
      await expect(page.getByText('Connection test successful')).toBeVisible();
      await run.look();
    });

    await test.step('The wizard: a new connector, whose test fails; another, whose test passes', async () => {
      await run.look(`${streaming}/new`);
      await page.getByLabel('Name', { exact: true }).fill('archive');
      await page.getByRole('button', { name: 'Continue', exact: true }).click();
      await page.getByRole('button', { name: 'Amazon S3', exact: true }).click();
      await page.getByRole('button', { name: 'Select Connector' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('button', { name: 'New AWS connector' }).click();
      await dialog.getByLabel('Name', { exact: true }).fill('wrong');
      await dialog.getByLabel('Access key').fill(demo.store.accessKey);
      await dialog.getByLabel('Secret key').fill(secrets.text('secret key typed in the wizard', '+/='));
      await dialog.getByLabel('Session token (optional)').fill(secrets.text('session token typed in the wizard', '+/='));
      await dialog.getByLabel('Endpoint (optional)').fill(demo.store.endpoint);
      await dialog.getByLabel('Bucket in the path (path style)').check();
      await run.look();
      await dialog.getByRole('button', { name: 'Save connector' }).click();
      await expect(dialog.getByRole('radio', { name: /wrong/ })).toBeChecked();
      await dialog.getByRole('button', { name: 'Apply Selected' }).click();
      await page.getByLabel('Amazon S3 Bucket').fill('audit-logs');
      await page.getByRole('button', { name: 'Save and Continue' }).click();
      await expect(page.getByText('Connection test failed')).toBeVisible();
      await page.getByRole('button', { name: 'Check bucket access' }).click();
      await expect(page.getByText('The bucket check failed')).toBeVisible();
      await run.look();
      await page.getByRole('button', { name: 'Back' }).click();
      await page.getByRole('button', { name: 'Select Connector' }).click();
      await page.getByRole('radio', { name: /right/ }).check();
      await page.getByRole('button', { name: 'Apply Selected' }).click();
      await page.getByRole('button', { name: 'Save and Continue' }).click();
      await expect(page.getByText('Connection test successful')).toBeVisible();
      await run.look();
      await page.getByRole('button', { name: 'Finish' }).click();
      await page.getByRole('switch', { name: 'Stream to archive' }).click();
      await expect(page.getByText(/^Active\. First run started/)).toBeVisible();
    });

    const admin = run.token(server, 'admin,read,ingest');

    await test.step('The API: connectors with secrets, whole and malformed', async () => {
      const key = secrets.text('secret key sent to the API', '+/=');
      const token = secrets.text('session token sent to the API', '+/=');
      expect((await run.call(admin, 'POST', '/v1/connectors', connector('api', manual(key, token)))).status).toBe(201);
      expect((await run.call(admin, 'POST', '/v1/connectors', connector('api', manual(key, token)))).status).toBe(409);
      expect((await run.call(admin, 'POST', '/v1/connectors/api/test')).text).toContain('FAILURE');
      expect((await run.call(admin, 'PUT', '/v1/connectors/api', connector('api', manual(secrets.text('secret key of a replace', '+/='), token)))).status).toBe(200);
      expect((await run.call(admin, 'PUT', '/v1/connectors/api', connector('api', manual()))).status).toBe(200);
      const json = JSON.stringify(connector('api', manual(key, token)));
      const malformed: unknown[] = [
        json.slice(0, -1), `${json}}`, `[${json}]`, `"${key}"`,
        connector('api', key), connector('api', [key, token]), connector('api', { type: key }), connector('api', { [key]: token }),
        connector('api', { ...manual(key, token), secret_key: { key } }), connector('api', { ...manual(key, token), session_token: [token] }),
        connector('api', { ...manual(key, token), access_key: 5 }), connector('api', { ...manual(key, token), type: 'MANUEL' }),
        connector('!', manual(key, token)), connector('api', manual(`${key}\n`, `${token}\0`)),
        { ...connector('api', manual(key, token)), spec: key },
      ];
      for (const body of malformed) {
        await run.call(admin, 'POST', '/v1/connectors', body);
        await run.call(admin, 'PUT', '/v1/connectors/api', body);
        for (const verb of ['create', 'replace']) {
          const status = await run.ask(`/api/connector/${verb}`, typeof body === 'string' ? body : { connector: body });
          expect(status).not.toBe(404);
        }
      }
      for (const wrong of [secrets.text('unknown token', '.'), secrets.text('unknown API token', '.').padStart(64, 'auditstream_')]) {
        expect((await run.call(wrong, 'GET', '/v1/connectors')).status).toBe(401);
      }
    });

    await test.step('The webhook: set, tested, refused, malformed', async () => {
      const secret = secrets.key('secret of the webhook', 'whsec_');
      const webhook = { url: `${hook}/taken`, secret };
      for (const body of [{ ...webhook, secret: 'short' }, { ...webhook, secret: [secret] }, secret, { url: secret, secret }, { ...webhook, lag_limit_seconds: secret }, { ...webhook, secret: `${secret}!` }]) {
        expect((await run.call(admin, 'PUT', '/v1/webhook', body)).status).toBeGreaterThanOrEqual(400);
      }
      expect((await run.call(admin, 'PUT', '/v1/webhook', { ...webhook, url: `${hook}/refused` })).status).toBe(200);
      expect((await run.call(admin, 'POST', '/v1/webhook/test')).text).toContain('FAILURE');
      expect((await run.call(admin, 'PUT', '/v1/webhook', webhook)).status).toBe(200);
      expect((await run.call(admin, 'POST', '/v1/webhook/test')).text).toContain('SUCCESS');
      expect((await run.call(admin, 'GET', '/v1/webhook')).status).toBe(200);
    });

    await test.step('Access: an invited user, a new token, a changed password', async () => {
      const invited = await run.call(admin, 'POST', '/v1/users', { email: 'invited@example.com', role: 'account_viewer' });
      expect(invited.status).toBe(201);
      const link = new URL((JSON.parse(invited.text) as { link: string }).link);
      secrets.random('token of the invitation', link.searchParams.get('token')!);
      await run.look(link.pathname + link.search);
      const made = await run.call(admin, 'POST', '/v1/api-tokens', { name: 'made', scopes: ['read'], expires_in_days: 1 });
      const { token } = JSON.parse(made.text) as { token: string };
      secrets.random('API token of the API', token, 'auditstream_');
      expect((await run.call(token, 'GET', '/v1/audit-events')).status).toBe(200);
      const changed = secrets.text('password that was changed');
      for (const body of [{ current: changed, new: password }, { current: [password], new: changed }, { current: password }, password]) {
        expect(await run.ask('/api/account/password', body)).toBeGreaterThanOrEqual(400);
      }
      expect(await run.ask('/api/account/password', { current: password, new: 'short' })).toBe(422);
      expect(await run.ask('/api/account/password', { current: password, new: changed })).toBe(200);
      expect(await run.ask('/api/account/password', { current: changed, new: password })).toBe(200);
    });

    await test.step('Destinations of every compression, and one that fails', async () => {
      for (const [identifier, status, spec, connector_ref] of [
        ['packed', 'ACTIVE', { bucket: 'audit-logs', compression: 'zstd' }],
        ['plain', 'ACTIVE', { bucket: 'audit-logs', compression: 'none', format: 'json_array' }],
        [`_${planted.word}`, 'ACTIVE', { bucket: 'no-such-bucket' }],
        ['unsigned', 'ACTIVE', { bucket: 'audit-logs' }, 'wrong'],
      ] as const) {
        const made = await run.call(admin, 'POST', '/v1/streaming-destinations', destination(identifier, status, spec, connector_ref));
        expect(made.status).toBe(201);
      }
      for (const identifier of ['archive', 'packed', 'plain']) {
        const batches = async () => (await run.call(admin, 'GET', `/v1/streaming-destinations/${identifier}/batches`)).text;
        await expect.poll(batches).toContain('SUCCESS');
      }
      for (const identifier of [`_${planted.word}`, 'unsigned']) {
        const batches = async () => (await run.call(admin, 'GET', `/v1/streaming-destinations/${identifier}/batches`)).text;
        await expect.poll(batches).toMatch(/"error":[^n]/);
      }
    });

    await test.step('Errors of the server', async () => {
      sqlite(server, faults.map(({ table, verb }) => `CREATE TRIGGER ${table}_${verb} BEFORE ${verb} ON ${table} BEGIN SELECT RAISE(ABORT, 'broken'); END;`).join('\n'));
      expect((await run.call(admin, 'PUT', '/v1/connectors/api', connector('api', manual(secrets.text('secret key of a fault', '+/='))))).status).toBe(500);
      expect((await run.call(admin, 'PUT', '/v1/webhook', { url: `${hook}/fault`, secret: secrets.key('secret of a fault', 'whsec_') })).status).toBe(500);
      await run.look(`${connectors}/right/edit`);
      await page.getByLabel('Secret key').fill(secrets.text('secret key of a fault in the console', '+/='));
      await page.getByRole('button', { name: 'Save connector' }).click();
      await expect(page.getByRole('alert')).toBeVisible();
      await run.look();
      await run.signOut();
      await run.signIn(email, password);
      sqlite(server, faults.map(({ table, verb }) => `DROP TRIGGER ${table}_${verb};`).join('\n'));
    });

    await test.step('Every page and every response, for a viewer and for the admin', async () => {
      server.command(['user', 'create', '--email', 'viewer@example.com', '--role', 'account_viewer'], { AUDITSTREAM_PASSWORD: viewerPassword });
      for (const [who, word] of [['viewer@example.com', viewerPassword], [email, password]] as const) {
        await run.look('/sign-in');
        await run.signIn(who, word);
        for (const path of ['/settings', logs, streaming, `${streaming}/archive`, `${streaming}/archive/edit`, `${streaming}/new`, `${streaming}/_${planted.word}`, connectors, '/settings/access', '/settings/access/tokens', '/settings/access/sign-ins', '/settings/access/you', `${connectors}/right/edit`, `${connectors}/wrong/edit`, `${connectors}/new`]) {
          await run.look(path);
        }
        expect(await run.ask(`${logs}/export`)).toBe(200);
        if (who !== email) await run.signOut();
      }
      for (const path of [
        '/v1/connectors', '/v1/connectors/right', '/v1/connectors/api', '/v1/streaming-destinations', '/v1/streaming-destinations/archive',
        '/v1/streaming-destinations/aggregate', '/v1/streaming-destinations/cards', '/v1/webhook', '/v1/audit-events?limit=100',
        '/v1/audit-events?resource_type=CONNECTOR', '/v1/audit-events?resource_type=API_TOKEN', '/v1/users', '/v1/api-tokens', '/docs/api', '/openapi.json', '/healthz', '/readyz',
      ]) {
        await run.call(admin, 'GET', path);
      }
      expect((await run.call(secrets.text('unknown metrics token', '.'), 'GET', '/metrics')).status).toBe(401);
      expect((await run.call(metricsToken, 'GET', '/metrics')).status).toBe(200);
      expect((await run.call(admin, 'DELETE', '/v1/connectors/api')).status).toBe(204);
    });

    await test.step('The data of the running server, and everything that scripts can read', async () => {
      server.command(['user', 'reset-password', '--email', 'viewer@example.com'], { AUDITSTREAM_PASSWORD: secrets.text('password that was reset') });
      await page.evaluate((word) => localStorage.setItem('planted', word), planted.word);
      await run.keepStorage();
      run.keepRunning(server);
      const names = ['auditstream.db', 'auditstream.db-wal', 'auditstream.db-shm'];
      for (const name of names) expect(readFileSync(join(server.data, name)).length).toBeGreaterThan(0);
      await server.end();
      // The log includes the libraries that handle secrets.
      for (const target of ['TRACE', 'aws_sigv4', 'aws_smithy_runtime', 'hyper_util', 'sqlx']) expect(server.output().includes(target), target).toBe(true);
      run.keepStopped(server, 'server');
    });

    await test.step('Another master key is refused', async () => {
      const other = { AUDITSTREAM_MASTER_KEY: secrets.key('master key of another') };
      expect(() => server.command(['token', 'create', '--name', 'none', '--scope', 'read'], other)).toThrow();
      evidence.add(places.log, 'refused', readFileSync(server.log));
    });

    await test.step('The first start, with the printed link', async () => {
      await fresh.start();
      recorder.server = fresh.address;
      const token = fresh.output().match(/\/setup\?token=(\S+)/)![1]!;
      secrets.random('token of the set-up link', token);
      secrets.knownKey('master key of the data folder', readFileSync(join(fresh.data, 'master.key'), 'utf8').trim());
      await context.clearCookies();
      await run.look(`/setup?token=${token}`);
      const first = secrets.text('password of the first admin');
      const attempt = async (email: string) => {
        await page.getByLabel('E-mail').fill(email);
        await page.getByLabel('Password').fill(first);
        await page.getByRole('button', { name: 'Create admin' }).click();
        await run.look();
      };
      await attempt('nobody@x');
      await attempt('first@example.com');
      await expect(page).toHaveURL(`${recorder.address}/settings`);
      await run.look(`/setup?token=${token}`);
      run.keepRunning(fresh);
      await fresh.end();
      run.keepStopped(fresh, 'first start');
    });

    evidence.addFolder(places.objects, demo.bucket);
    run.keepResponses();
    expect(evidence.items(places.webhook).length).toBeGreaterThan(2);

    const setup = 'token of the set-up link';
    const invitation = 'token of the invitation';
    const exceptions: Exception[] = [
      { secret: invitation, place: places.bodies, item: /^POST \/v1\/users 201/, why: 'it is shown once', times: 1 },
      { secret: invitation, place: places.addresses, item: /^GET \/invitation\?/, why: 'it is the address' },
      { secret: invitation, place: places.bodies, item: /^GET \/invitation\?/, why: 'the form sends it' },
      { secret: invitation, place: places.pages, item: /^\/invitation( |$)/, why: 'the form sends it' },
      { secret: 'API token of the API', place: places.bodies, item: /^POST \/v1\/api-tokens 201/, why: 'it is shown once', times: 1 },
      { secret: setup, place: places.log, item: /^first start$/, why: 'it is printed once', times: 1 },
      { secret: setup, place: places.addresses, item: /^GET \/setup\?/, why: 'it is the address' },
      { secret: setup, place: places.bodies, item: /^GET \/setup\?/, why: 'the form sends it' },
      { secret: setup, place: places.pages, item: /^\/setup( |$)/, why: 'the form sends it' },
      { secret: setup, place: places.headers, item: /^POST \/setup 303/, why: 'a form that was refused is shown again' },
      { secret: 'master key of the data folder', place: places.running, item: /^master\.key( |$)/, why: 'it is kept there', times: 1 },
      { secret: 'master key of the data folder', place: places.stopped, item: /^master\.key( |$)/, why: 'it is kept there', times: 1 },
      ...([
        [places.cookies, /^POST \/sign-in 303/],
        [places.bodies, /^GET \/sign-in\?/],
        [places.hydration, /^GET \/sign-in\?/],
        [places.pages, /^\/sign-in( |$)/],
      ] as const).map(([place, item]) => (
        { secret: 'password like an e-mail', place, item, why: 'an address is put back into its field' }
      )),
      ...secrets.all.filter(({ name }) => name.startsWith('cookie of ')).map(({ name }) => (
        { secret: name, place: places.cookies, item: /^POST \/(sign-in|setup|api\/account\/password) /, why: 'it is the cookie' }
      )),
    ];
    // If the planted word is not found, secrets would not be found either.
    const met = evidence.search([planted], Object.values(places));
    expect(new Set(met.map(({ place }) => place))).toEqual(new Set(Object.values(places)));
    for (const extension of ['gz', 'zst', 'json']) {
      expect(met.some(({ place, item }) => place === places.objects && item.endsWith(`.${extension}`)), extension).toBe(true);
    }
    console.log(evidence.summary(secrets.all));
    expect(leaks(evidence.search(secrets.all, Object.values(places)), exceptions)).toEqual([]);
  } finally {
    await server.remove();
    await fresh.remove();
    await recorder.stop();
    hooks.close();
  }
});
