// The protection of pages in a real browser. Every other test also fails if a page violates its
// content security policy, because the browser reports that on its console.
import { expect, hydrated, signIn, test } from '../support/fixtures.ts';
import { streaming } from '../support/server.ts';

test.describe('an injected script', () => {
  test.use({ allowed: ['Content Security Policy'] });

  test('does not run, and styles and responses of other sites are blocked', async ({ page, demo }) => {
    await signIn(page, demo, '/settings');
    const outcome = await page.evaluate(async () => {
      const violated: string[] = [];
      document.addEventListener('securitypolicyviolation', (event) => violated.push(event.effectiveDirective));
      const script = document.createElement('div');
      script.innerHTML = '<img src="x:" onerror="window.planted = 1"><p style="color: red"></p>';
      document.body.append(script);
      const element = document.createElement('script');
      element.textContent = 'window.planted = 2';
      document.body.append(element);
      const base = document.createElement('base');
      base.href = 'https://evil.example.com/';
      document.head.append(base);
      const elsewhere = await fetch('http://127.0.0.1:9/').then(() => 'came', () => 'kept out');
      // Images report errors later.
      await new Promise((done) => setTimeout(done, 500));
      return { violated, elsewhere, planted: 'planted' in window, base: document.baseURI };
    });
    expect(outcome.planted).toBe(false);
    expect(outcome.elsewhere).toBe('kept out');
    expect(outcome.base).toContain(demo.address);
    for (const directive of ['script-src-elem', 'style-src-attr', 'base-uri', 'connect-src']) {
      expect(outcome.violated).toContain(directive);
    }
  });
});

test('the demo works under every name of this host, and no page can frame it', async ({ page, demo }) => {
  const port = new URL(demo.address).port;
  for (const host of ['localhost', '127.0.0.1']) {
    await page.goto(`http://${host}:${port}/sign-in`);
    await hydrated(page);
    await page.getByLabel('E-mail').fill(demo.email);
    await page.getByLabel('Password').fill(demo.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page).toHaveURL(`http://${host}:${port}/settings`);
    await page.goto(`http://${host}:${port}${streaming}`);
    await hydrated(page);
    const toggle = page.getByRole('switch', { name: 'Stream to Demo archive' });
    const before = await toggle.getAttribute('aria-checked');
    await toggle.click();
    await expect(toggle).not.toHaveAttribute('aria-checked', before ?? '');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page).toHaveURL(`http://${host}:${port}/sign-in`);
  }
});
