// The built binary as a company runs it: no demo, and nothing that it says is lost.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary } from './server.ts';

export class Installation {
  address = '';
  readonly folder = mkdtempSync(join(tmpdir(), 'auditstream-installation-'));
  readonly data = join(this.folder, 'data');
  /** What the server and its commands wrote to standard output and standard error. */
  readonly log = join(this.folder, 'log');
  private readonly settings: Record<string, string>;
  private child?: ChildProcess;

  constructor(settings: Record<string, string>) {
    this.settings = { PATH: process.env.PATH ?? '', AUDITSTREAM_DATA_DIR: this.data, ...settings };
  }

  /** Starts it, or starts it again on the same data. */
  async start(flags: string[] = []): Promise<void> {
    const log = openSync(this.log, 'a');
    const before = readFileSync(this.log).length;
    const child = spawn(binary, ['serve', ...flags], { env: this.settings, stdio: ['ignore', log, log] });
    closeSync(log);
    this.child = child;
    for (;;) {
      const address = this.said(before).match(/^listening on (.*)$/m)?.[1];
      if (address) {
        this.address = address;
        return;
      }
      if (child.exitCode !== null) throw new Error(`the server ended before it was ready: ${this.said(before).slice(-500)}`);
      await new Promise((later) => setTimeout(later, 50));
    }
  }

  /** What it has said, from some byte on. */
  said(from = 0): string {
    return readFileSync(this.log).subarray(from).toString('utf8');
  }

  /** The program and its arguments, as every user of this computer can see them. */
  arguments(): string {
    const pid = String(this.child?.pid);
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return execFileSync('ps', ['-ww', '-o', 'args=', '-p', pid], { encoding: 'utf8' });
  }

  /** Runs a command beside the server and gives what it prints; what it logs goes to the log. */
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
