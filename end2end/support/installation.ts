// The built binary as in production: without the demo, and with all its output kept.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary } from './server.ts';

export class Installation {
  address = '';
  readonly folder = mkdtempSync(join(tmpdir(), 'auditstream-installation-'));
  readonly data = join(this.folder, 'data');
  /** The standard output and standard error of the server and its commands. */
  readonly log = join(this.folder, 'log');
  private readonly settings: Record<string, string>;
  private child?: ChildProcess;

  constructor(settings: Record<string, string>) {
    this.settings = { PATH: process.env.PATH ?? '', AUDITSTREAM_DATA_DIR: this.data, ...settings };
  }

  /** Starts the server, or restarts it with the same data. */
  async start(flags: string[] = []): Promise<void> {
    const log = openSync(this.log, 'a');
    const before = readFileSync(this.log).length;
    const child = spawn(binary, ['serve', ...flags], { env: this.settings, stdio: ['ignore', log, log] });
    closeSync(log);
    this.child = child;
    for (;;) {
      const address = this.output(before).match(/^listening on (.*)$/m)?.[1];
      if (address) {
        this.address = address;
        return;
      }
      if (child.exitCode !== null) throw new Error(`the server ended before it was ready: ${this.output(before).slice(-500)}`);
      await new Promise((later) => setTimeout(later, 50));
    }
  }

  /** Returns the log from an offset on. */
  output(from = 0): string {
    return readFileSync(this.log).subarray(from).toString('utf8');
  }

  /** The command line, as every user of this computer can see it. */
  arguments(): string {
    const pid = String(this.child?.pid);
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return execFileSync('ps', ['-ww', '-o', 'args=', '-p', pid], { encoding: 'utf8' });
  }

  /** Runs a command on the server's data and returns its output. Its log lines go to the log. */
  command(words: string[], settings: Record<string, string> = {}): string {
    const log = openSync(this.log, 'a');
    try {
      const env = { ...this.settings, ...settings };
      return execFileSync(binary, words, { env, stdio: ['ignore', 'pipe', log], encoding: 'utf8' }).trim();
    } finally {
      closeSync(log);
    }
  }

  async end(): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    await gone;
  }

  async remove(): Promise<void> {
    this.child?.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
