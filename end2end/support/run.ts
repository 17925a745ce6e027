// A run with marked secrets: what is done in it, and what it leaves behind.
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

/** Where secrets are looked for. */
export const places = {
  running: 'data folder of the running server',
  stopped: 'data folder after the stop',
  rows: 'rows of the database',
  log: 'log at trace level',
  arguments: 'arguments of the process',
  addresses: 'addresses asked for',
  headers: 'headers of answers',
  cookies: 'cookies set',
  bodies: 'bodies of answers',
  hydration: 'scripts in answers',
  pages: 'living pages',
  storage: 'storage of the browser',
  objects: 'objects in the bucket',
  webhook: 'messages to the webhook',
};

/** What a run leaves behind, and the secrets that were used in it. */
export class Run {
  readonly secrets = new Secrets();
  readonly evidence = new Evidence();
  readonly recorder = new Recorder();
  private tokens = 0;

  constructor(readonly page: Page) {}

  /** Opens a page, or takes the one that is open, and keeps what it has become. */
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

  /** Makes an API token; the command that prints it is the one place where it is. */
  token(server: Installation, scope: string): string {
    this.tokens += 1;
    const token = server.command(['token', 'create', '--name', scope.replaceAll(',', ' '), '--scope', scope]);
    return this.secrets.random(`API token ${this.tokens}`, token, 'auditstream_');
  }

  /** A call of the API; what is no text is sent as JSON. */
  async call(token: string, method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const answer = await fetch(this.recorder.address + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: answer.status, text: await answer.text() };
  }

  /** A request of this page's scripts, with the session's cookie; what is no text is sent as JSON. */
  async ask(path: string, body?: unknown): Promise<number> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const method = body === undefined ? 'GET' : 'POST';
    return this.page.evaluate(
      async ({ path, method, text }) => {
        const answer = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body: text });
        await answer.text();
        return answer.status;
      },
      { path, method, text },
    );
  }

  /** What scripts can read of this browser. */
  async keepStorage(): Promise<void> {
    const { origins } = await this.page.context().storageState({ indexedDB: true });
    const read = await this.page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
    this.evidence.add(places.storage, this.page.url(), read + JSON.stringify(origins));
  }

  /** Sorts what the proxy has seen into its places. */
  keepAnswers(): void {
    for (const { to, headers, body } of this.recorder.answers) {
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

  /** Reads the database as it is on disk while the server runs, and row by row. */
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

/** All rows; with statements, executes them. */
export function sqlite(server: Installation, ...statements: string[]): string {
  return execFileSync('python3', ['support/sqlite.py', join(server.data, 'auditstream.db'), ...statements], { encoding: 'utf8', maxBuffer: 256 << 20 });
}

/** Takes the messages of a webhook, and keeps them as they came. */
export async function receiver(evidence: Evidence): Promise<{ server: Server; url: string }> {
  const server = createServer((request, answer) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      evidence.add(places.webhook, request.url ?? '', `${request.rawHeaders.join('\n')}\n${Buffer.concat(parts).toString('utf8')}`);
      answer.writeHead(request.url === '/refused' ? 500 : 204).end();
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
