// Every screen in both themes and two widths: accessible, and never wider than the window.
import AxeBuilder from '@axe-core/playwright';
import { expect, hydrated, picture, signIn, test } from '../support/fixtures.ts';
import { access, connectors, logs, streaming } from '../support/server.ts';

const screens = [
  '/sign-in',
  '/setup?token=none',
  '/nothing-here',
  '/settings',
  logs,
  `${logs}?q=nothing+that+is+there`,
  `${logs}?range=1d&principal=nobody`,
  streaming,
  `${streaming}/new`,
  `${streaming}/demo_archive`,
  `${streaming}/demo_archive/edit`,
  connectors,
  `${connectors}/new`,
  `${connectors}/demo_s3/edit`,
  access,
  `${access}/tokens`,
  `${access}/sign-ins`,
  `${access}/you`,
  '/settings/retention',
  '/invitation?token=none',
];

test.use({ allowed: ['404 (Not Found)'] });

for (const theme of ['light', 'dark'] as const) {
  for (const width of [1280, 390]) {
    test(`screens pass axe and fit: ${theme}, ${width} px`, async ({ page, demo }) => {
      test.setTimeout(300_000);
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme: theme });
      await signIn(page, demo, '/settings');
      const check = async (screen: string) => {
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map((found) => `${screen}: ${found.id} ${found.nodes[0]?.html}`)).toEqual([]);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(wider, screen).toBeLessThanOrEqual(0);
        await picture(page, `${screen.replace(/[^a-z_-]+/gi, '_')}-${theme}-${width}`);
      };
      for (const path of screens) {
        await page.goto(path);
        await hydrated(page);
        await check(path);
      }
      await page.goto(`${streaming}/demo_archive/edit`);
      await hydrated(page);
      await page.getByRole('button', { name: 'Continue', exact: true }).click();
      await page.getByText('Advanced', { exact: true }).click();
      await check('advanced');
    });
  }
}

test('the wizard works with the keyboard alone', async ({ page, demo }) => {
  await signIn(page, demo, streaming);
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  /** Presses Tab until the control with this name has the focus. */
  const reach = async (name: RegExp | string) => {
    for (let steps = 0; steps < 60; steps++) {
      const label = await page.evaluate(() => {
        const focused = document.activeElement as HTMLInputElement | null;
        return focused?.getAttribute('aria-label') ?? focused?.labels?.[0]?.innerText ?? focused?.innerText ?? '';
      });
      if (typeof name === 'string' ? label.trim() === name : name.test(label)) return;
      await press('Tab');
    }
    throw new Error(`the keyboard does not reach ${name}`);
  };
  await reach('New Streaming Destination');
  await press('Enter');
  await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible();
  await reach('Name');
  await page.keyboard.type('Keyboard');
  await press('Enter');
  await expect(page.getByRole('heading', { name: 'Streaming Connector' })).toBeVisible();
  await reach('Select Connector');
  await press('Enter');
  await expect(page.getByRole('radio', { name: /Demo S3/ })).toBeVisible();
  await reach(/Demo S3/);
  await press('Space');
  await reach('Apply Selected');
  await press('Enter');
  await reach('Amazon S3 Bucket');
  await page.keyboard.type('audit-logs');
  await press('Enter');
  await expect(page.getByText('Connection test successful')).toBeVisible();
  await reach('Finish');
  await press('Enter');
  await expect(page).toHaveURL(streaming);
  await reach('Stream to Keyboard');
  await press('Space');
  await expect(page.getByRole('switch', { name: 'Stream to Keyboard' })).toHaveAttribute('aria-checked', 'true');
  await reach('Actions for Keyboard');
  await press('Enter');
  const edit = page.locator('tbody.destination').filter({ hasText: 'Keyboard' }).getByRole('menuitem', { name: 'Edit' });
  await expect(edit).toBeFocused();
  await press('Escape');
  await expect(page.getByRole('button', { name: 'Actions for Keyboard' })).toBeFocused();
});
