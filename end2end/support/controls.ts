// The controls that a user could see and those that a test used: the story must use them all.
import type { Page } from '@playwright/test';

/** Runs in the page. Reports every control that is visible, and every one that is used. */
function watch(): void {
  const selector = 'a[href], button, input:not([type=hidden]), select, summary';
  const name = (element: Element): string => {
    const control = element as HTMLInputElement;
    const cell = element.closest('td');
    if (cell && element.tagName === 'A') {
      // Its text names the row. The column identifies the control.
      const heads = cell.closest('table')?.querySelectorAll('th');
      return `link in “${heads?.[cell.cellIndex]?.innerText ?? ''}”`;
    }
    const text =
      control.getAttribute('aria-label') ??
      control.labels?.[0]?.innerText ??
      ((control as HTMLElement).innerText || control.name || control.id);
    // Ignores the names of rows, and digits: counts, sequences and steps.
    const kind = text.replace(/(^| )(for|of|to|event|tag|delete|test) .+$/i, '$1$2 …').replace(/\d+/g, '#').replace(/new event$/, 'new events');
    return `${element.tagName.toLowerCase()} “${kind.replace(/\s+/g, ' ').trim()}”`;
  };
  const report = (what: 'seen' | 'used', element: Element) => {
    const { control } = window as unknown as { control?: (what: string, name: string) => void };
    control?.(what, name(element));
  };
  const known = new WeakSet<Element>();
  const look = () => {
    // The API reference is a document, not a screen.
    if (location.pathname.startsWith('/docs/')) return;
    for (const element of document.querySelectorAll(selector)) {
      const { disabled, readOnly } = element as HTMLInputElement;
      const usable = !disabled && !readOnly && element.getAttribute('aria-disabled') !== 'true';
      if (!known.has(element) && usable && element.checkVisibility({ visibilityProperty: true })) {
        known.add(element);
        report('seen', element);
      }
    }
  };
  const used = (event: Event) => {
    const control = (event.target as Element | null)?.closest?.(selector);
    if (control) report('used', control);
  };
  addEventListener('click', used, true);
  addEventListener('input', used, true);
  addEventListener('change', used, true);
  addEventListener('DOMContentLoaded', () => {
    look();
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  });
}

/** Watches the controls of a page across navigations. */
export async function controls(page: Page): Promise<{ unused: () => string[] }> {
  const seen = new Set<string>();
  const used = new Set<string>();
  await page.exposeFunction('control', (what: string, name: string) => (what === 'seen' ? seen : used).add(name));
  await page.addInitScript(watch);
  return { unused: () => [...seen].filter((name) => !used.has(name)).sort() };
}
