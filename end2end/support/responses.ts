// The responses that a browser received, searched for the secrets of its server.
import type { BrowserContext, Request } from '@playwright/test';
import { Evidence } from './search.ts';
import { Secrets } from './secrets.ts';
import type { Demo } from './server.ts';

/** Keeps all responses from now on, except the files that are the same for every user. */
export class Responses {
  private readonly evidence = new Evidence();
  private readonly secrets = new Secrets();
  private readonly reading: Promise<void>[] = [];
  private sessions = 0;

  constructor(context: BrowserContext) {
    context.on('requestfinished', (request) => {
      if (!new URL(request.url()).pathname.startsWith('/pkg/')) this.reading.push(this.keep(request));
    });
  }

  /** Waits until all responses are read. Leaving a page drops those that are not. */
  async read(): Promise<void> {
    await Promise.all(this.reading);
  }

  /** The places of the demo's secrets and session cookies in the responses. */
  async leaks(demo: Demo): Promise<string[]> {
    await this.read();
    demo.secrets.forEach((value, index) => this.secrets.known(`secret ${index + 1} of the demo`, value));
    const found = this.evidence.search(this.secrets.all, this.evidence.all);
    return found.map(({ secret, place, item, form }) => `${secret}: ${place}: ${item}: ${form}`);
  }

  private async keep(request: Request): Promise<void> {
    // The browser has dropped the response, because its page is gone.
    const response = await request.response().catch(() => null);
    const headers = await response?.headersArray().catch(() => null);
    if (!response || !headers) return;
    const to = `${request.method()} ${request.url()} ${response.status()}`;
    let lines = '';
    for (const { name, value } of headers) {
      const session = name.toLowerCase() === 'set-cookie' && value.match(/^\S*auditstream_session=([^;]+)/)?.[1];
      if (session) this.secrets.random(`cookie of session ${(this.sessions += 1)}`, session);
      else lines += `${name}: ${value}\n`;
    }
    this.evidence.add('headers', to, lines);
    const body = await response.body().catch(() => Buffer.alloc(0));
    if (body.length > 0) this.evidence.add('bodies', to, body);
  }
}
