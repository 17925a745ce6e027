// The fixtures of every browser test: a separate demo, and a console that must stay silent.
import { test as base, expect, type Page } from '@playwright/test';
import { Responses } from './responses.ts';
import { Demo } from './server.ts';

type Fixtures = {
  /** Settings of the server, as environment variables. */
  settings: Record<string, string>;
  demo: Demo;
  /** Messages that the browser may write, as parts of their text. */
  allowed: string[];
};

export const test = base.extend<Fixtures>({
  settings: [{}, { option: true }],
  allowed: [[], { option: true }],
  demo: async ({ settings }, use) => {
    const demo = new Demo();
    try {
      await demo.start(settings);
      await use(demo);
    } finally {
      await demo.remove();
    }
  },
  baseURL: async ({ demo }, use) => use(demo.address),
  // Every browser error or warning fails the test, and so does a secret in a response.
  page: async ({ page, demo, allowed }, use) => {
    const responses = new Responses(page.context());
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      const text = message.text();
      const expected = allowed.some((part) => text.includes(part));
      if (['error', 'warning'].includes(message.type()) && !expected) complaints.push(text);
    });
    await use(page);
    expect(complaints).toEqual([]);
    expect(await responses.leaks(demo)).toEqual([]);
  },
});

export { expect };

/** Waits until the page is hydrated. */
export async function hydrated(page: Page): Promise<void> {
  await page.locator('html[data-hydrated]').waitFor({ state: 'attached' });
}

/** Requests a page, signs in when asked to, and returns on that page. */
export async function signIn(page: Page, demo: Demo, next: string): Promise<void> {
  await page.goto(next);
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await hydrated(page);
  await page.getByLabel('E-mail').fill(demo.email);
  await page.getByLabel('Password').fill(demo.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(next);
  await hydrated(page);
}

/** Saves a screenshot in the folder AUDITSTREAM_SCREENSHOTS, if it is set. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.AUDITSTREAM_SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
