// Every browser test searches its responses for secrets. Here the responses contain them.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Responses } from '../support/responses.ts';
import { expect, test } from '../support/fixtures.ts';

test('a password, a token and a session cookie are found in responses', async ({ browser, demo }) => {
  const token = demo.command(['token', 'create', '--name', 'shown', '--scope', 'read']);
  const session = Buffer.alloc(32, 'session').toString('base64url');
  const planted: Record<string, { headers: Record<string, string>; body: string }> = {
    '/clean': { headers: { 'set-cookie': `__Host-auditstream_session=${session}; Path=/` }, body: 'nothing' },
    '/password': { headers: {}, body: JSON.stringify({ password: demo.password }) },
    '/token': { headers: { 'x-token': token }, body: 'nothing' },
    '/session': { headers: {}, body: Buffer.from(`session ${session}`).toString('base64') },
  };
  const server = createServer((request, response) => {
    const { headers, body } = planted[request.url ?? ''] ?? { headers: {}, body: '' };
    response.writeHead(200, { 'content-type': 'text/plain', ...headers }).end(body);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const context = await browser.newContext();
  const responses = new Responses(context);
  const page = await context.newPage();
  for (const path of Object.keys(planted)) {
    const answered = page.waitForEvent('requestfinished', (request) => request.url() === address + path);
    await page.goto(address + path);
    await answered;
    await responses.read();
  }
  const found = (await responses.leaks(demo)).map((leak) => leak.replace(/^(.*?): (.*?): GET .*(\/\w+) 200: .*$/, '$1: $2: $3'));
  expect([...new Set(found)].sort()).toEqual([
    'cookie of session 1: bodies: /session',
    'secret 1 of the demo: bodies: /password',
    'secret 3 of the demo: headers: /token',
  ]);
  await context.close();
  server.close();
});
