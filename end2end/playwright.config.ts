// Runs the browser tests against the built binary. Each test starts a server with separate data and
// a real S3-compatible store; see support/server.ts.
import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'specs',
  // The limits only end what hangs: a busy machine may stop for seconds.
  timeout: 180_000,
  expect: { timeout: 30_000 },
  workers: 1,
  forbidOnly: true,
  reporter: [['list']],
  use: {
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
    viewport: { width: 1280, height: 900 },
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
});
