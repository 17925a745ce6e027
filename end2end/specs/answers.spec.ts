// The answers of every browser test are searched for what opens its server; here they hold it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Answers } from '../support/answers.ts';
import { expect, test } from '../support/fixtures.ts';

test('a password, a token and the cookie of a session are found in answers', async ({ browser, demo }) => {
  const token = demo.command(['token', 'create', '--name', 'shown', '--scope', 'read']);
  const session = Buffer.alloc(32, 'session').toString('base64url');
  const planted: Record<string, { headers: Record<string, string>; body: string }> = {
    '/clean': { headers: { 'set-cookie': `__Host-auditstream_session=${session}; Path=/` }, body: 'nothing' },
    '/password': { headers: {}, body: JSON.stringify({ password: demo.password }) },
    '/token': { headers: { 'x-token': token }, body: 'nothing' },
    '/session': { headers: {}, body: Buffer.from(`session ${session}`).toString('base64') },
  };
  const server = createServer((request, answer) => {
    const { headers, body } = planted[request.url ?? ''] ?? { headers: {}, body: '' };
    answer.writeHead(200, { 'content-type': 'text/plain', ...headers }).end(body);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const context = await browser.newContext();
  const answers = new Answers(context);
  const page = await context.newPage();
  for (const path of Object.keys(planted)) {
    const answered = page.waitForEvent('requestfinished', (request) => request.url() === address + path);
    await page.goto(address + path);
    await answered;
    await answers.read();
  }
  const found = (await answers.leaks(demo)).map((leak) => leak.replace(/^(.*?): (.*?): GET .*(\/\w+) 200: .*$/, '$1: $2: $3'));
  expect([...new Set(found)].sort()).toEqual([
    'cookie of session 1: bodies: /session',
    'secret 1 of the demo: bodies: /password',
    'secret 3 of the demo: headers: /token',
  ]);
  await context.close();
  server.close();
});
