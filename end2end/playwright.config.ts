// The browser tests run against the built binary: it serves the demo, whose store is a real S3-compatible server.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from '@playwright/test';

const port = Number(process.env.AUDITSTREAM_TEST_PORT ?? 3973);
// Workers read this file too; all of them must mean the same folder.
process.env.AUDITSTREAM_TEST_DATA ??= mkdtempSync(join(tmpdir(), 'auditstream-end2end-'));

export default defineConfig({
  testDir: 'tests',
  timeout: 60_000,
  workers: 1,
  forbidOnly: true,
  reporter: [['list']],
  use: {
    baseURL: `http://127.0.0.1:${port}`,
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM_PATH || undefined,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  webServer: {
    command: '../target/release/auditstream serve --demo',
    url: `http://127.0.0.1:${port}/healthz`,
    reuseExistingServer: false,
    env: {
      AUDITSTREAM_LISTEN: `127.0.0.1:${port}`,
      AUDITSTREAM_DATA_DIR: process.env.AUDITSTREAM_TEST_DATA,
    },
  },
});
