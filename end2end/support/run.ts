// A run with marked secrets and the traces that it leaves.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, hydrated } from './fixtures.ts';
import type { Installation } from './installation.ts';
import { Recorder } from './record.ts';
import { Evidence } from './search.ts';
import { Secrets } from './secrets.ts';

/** The places that are searched for secrets. */
export const places = {
  running: 'data folder of the running server',
  stopped: 'data folder after the stop',
  rows: 'rows of the database',
  log: 'log at trace level',
  arguments: 'arguments of the process',
  addresses: 'addresses asked for',
  headers: 'response headers',
  cookies: 'cookies set',
  bodies: 'response bodies',
  hydration: 'scripts in responses',
  pages: 'living pages',
  storage: 'storage of the browser',
  objects: 'objects in the bucket',
  webhook: 'messages to the webhook',
};

/** The traces of a run, and the secrets that were used in it. */
export class Run {
  readonly secrets = new Secrets();
  readonly evidence = new Evidence();
  readonly recorder = new Recorder();
  private tokens = 0;

  constructor(readonly page: Page) {}

  /** Opens a page, or takes the open one, and keeps its content after hydration. */
  async look(path?: string): Promise<void> {
    if (path) await this.page.goto(this.recorder.address + path);
    await hydrated(this.page);
    this.evidence.add(places.pages, new URL(this.page.url()).pathname, await this.page.evaluate(() => document.documentElement.outerHTML));
  }

  async signIn(email: string, password: string): Promise<void> {
    await this.page.getByLabel('E-mail').fill(email);
    await this.page.getByLabel('Password').fill(password);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.look();
  }

  async signOut(): Promise<void> {
    await this.page.getByRole('button', { name: 'Sign out' }).click();
    await expect(this.page).toHaveURL(`${this.recorder.address}/sign-in`);
  }

  /** Creates an API token. Only the output of the command contains it. */
  token(server: Installation, scope: string): string {
    this.tokens += 1;
    const token = server.command(['token', 'create', '--name', scope.replaceAll(',', ' '), '--scope', scope]);
    return this.secrets.random(`API token ${this.tokens}`, token, 'auditstream_');
  }

  /** Calls the API. A body that is not a string is sent as JSON. */
  async call(token: string, method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const response = await fetch(this.recorder.address + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: response.status, text: await response.text() };
  }

  /** Sends a request with the session cookie. A body that is not a string is sent as JSON. */
  async ask(path: string, body?: unknown): Promise<number> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const method = body === undefined ? 'GET' : 'POST';
    return this.page.evaluate(
      async ({ path, method, text }) => {
        const response = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body: text });
        await response.text();
        return response.status;
      },
      { path, method, text },
    );
  }

  /** Keeps everything that scripts can read from this browser. */
  async keepStorage(): Promise<void> {
    const { origins } = await this.page.context().storageState({ indexedDB: true });
    const read = await this.page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
    this.evidence.add(places.storage, this.page.url(), read + JSON.stringify(origins));
  }

  /** Sorts the responses of the proxy into their places. */
  keepResponses(): void {
    for (const { to, headers, body } of this.recorder.responses) {
      const lines = (cookies: boolean) =>
        headers.filter(([name]) => (name.toLowerCase() === 'set-cookie') === cookies).map(([name, value]) => `${name}: ${value}\n`).join('');
      this.evidence.add(places.addresses, to, to);
      this.evidence.add(places.headers, to, lines(false));
      if (lines(true)) this.evidence.add(places.cookies, to, lines(true));
      if (body.length > 0) this.evidence.add(places.bodies, to, body);
      for (const [script] of body.toString('utf8').matchAll(/<script[^]*?<\/script>/g)) this.evidence.add(places.hydration, to, script);
    }
    let sessions = 0;
    for (const value of new Set(this.recorder.cookies().filter(([name]) => name.endsWith('auditstream_session')).map(([, value]) => value))) {
      sessions += 1;
      this.secrets.random(`cookie of session ${sessions}`, value);
    }
  }

  /** Keeps the database of the running server, as files and row by row. */
  keepRunning(server: Installation): void {
    this.evidence.addFolder(places.running, server.data);
    this.evidence.add(places.rows, 'auditstream.db', sqlite(server));
    this.evidence.add(places.arguments, 'serve', server.arguments());
  }

  keepStopped(server: Installation, log: string): void {
    this.evidence.addFolder(places.stopped, server.data);
    this.evidence.add(places.log, log, readFileSync(server.log));
  }
}

/** Returns all rows, or executes statements. */
export function sqlite(server: Installation, ...statements: string[]): string {
  return execFileSync('python3', ['support/sqlite.py', join(server.data, 'auditstream.db'), ...statements], { encoding: 'utf8', maxBuffer: 256 << 20 });
}

/** Starts a webhook receiver that keeps all messages. */
export async function receiver(evidence: Evidence): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      evidence.add(places.webhook, request.url ?? '', `${request.rawHeaders.join('\n')}\n${Buffer.concat(parts).toString('utf8')}`);
      response.writeHead(request.url === '/refused' ? 500 : 204).end();
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
