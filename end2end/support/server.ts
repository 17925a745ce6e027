// The built binary with its demo. Each server has a separate data folder and a free port.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const binary = resolve(process.env.AUDITSTREAM_BINARY ?? '../target/release/auditstream');
/** The access key of the demo's store. */
const accessKey = 'auditstream-demo';

export const streaming = '/settings/audit-trail/streaming';
export const logs = '/settings/audit-trail/logs';
export const connectors = '/settings/connectors';
export const access = '/settings/access';

/** A server with a store on loopback, a connector to it and an inactive destination. */
export class Demo {
  readonly email = 'admin@demo.local';
  address = '';
  private readonly folder = mkdtempSync(join(tmpdir(), 'auditstream-end2end-'));
  private readonly tokens: string[] = [];
  private child?: ChildProcess;

  /** Starts the server, or restarts it with the same data. */
  async start(settings: Record<string, string> = {}): Promise<void> {
    const child = spawn(binary, ['serve', '--demo'], {
      env: this.environment({ AUDITSTREAM_LISTEN: '127.0.0.1:0', ...settings }),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child = child;
    for await (const line of createInterface({ input: child.stdout })) {
      const address = line.match(/^listening on (.*)$/)?.[1];
      if (address) {
        this.address = address;
        return;
      }
    }
    throw new Error('the server ended before it was ready');
  }

  /** Stops the server with a signal and waits until it has ended. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    await gone;
  }

  async remove(): Promise<void> {
    await this.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  get password(): string {
    return this.kept('password');
  }

  /** The address and the credentials of the demo's store. */
  get store(): { endpoint: string; accessKey: string; secretKey: string } {
    return { endpoint: `http://127.0.0.1:${this.kept('store.port')}`, accessKey, secretKey: this.kept('store.secret') };
  }

  /** The secrets of the console, the store and the API. */
  get secrets(): string[] {
    return [this.password, this.store.secretKey, ...this.tokens];
  }

  /** The folder of the store's bucket, whose objects are files. */
  get bucket(): string {
    return join(this.folder, 'demo', 'store', 'audit-logs');
  }

  /** Runs a command on the server's data and returns its output. */
  command(words: string[], settings: Record<string, string> = {}): string {
    const env = this.environment({ AUDITSTREAM_DATA_DIR: join(this.folder, 'demo'), ...settings });
    const printed = execFileSync(binary, words, { env, encoding: 'utf8' }).trim();
    if (words[0] === 'token') this.tokens.push(printed);
    return printed;
  }

  private kept(file: string): string {
    return readFileSync(join(this.folder, 'demo', file), 'utf8').trim();
  }

  private environment(settings: Record<string, string>): Record<string, string> {
    return { PATH: process.env.PATH ?? '', RUST_LOG: 'error,s3s=off', AUDITSTREAM_DATA_DIR: this.folder, ...settings };
  }
}
