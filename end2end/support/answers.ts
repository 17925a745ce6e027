// What the server has answered a browser, searched for whatever opens that server.
import type { BrowserContext, Request } from '@playwright/test';
import { Evidence } from './search.ts';
import { Secrets } from './secrets.ts';
import type { Demo } from './server.ts';

/** Keeps what a browser is answered from now on; the files of the program itself are the same for everybody. */
export class Answers {
  private readonly evidence = new Evidence();
  private readonly secrets = new Secrets();
  private readonly reading: Promise<void>[] = [];
  private sessions = 0;

  constructor(context: BrowserContext) {
    context.on('requestfinished', (request) => {
      if (!new URL(request.url()).pathname.startsWith('/pkg/')) this.reading.push(this.keep(request));
    });
  }

  /** Waits until all that has been answered is read: a page that is left takes with it what is not. */
  async read(): Promise<void> {
    await Promise.all(this.reading);
  }

  /** Where in them a secret of the demo is, or the cookie of a session. */
  async leaks(demo: Demo): Promise<string[]> {
    await this.read();
    demo.secrets.forEach((value, index) => this.secrets.known(`secret ${index + 1} of the demo`, value));
    const found = this.evidence.search(this.secrets.all, this.evidence.all);
    return found.map(({ secret, place, item, form }) => `${secret}: ${place}: ${item}: ${form}`);
  }

  private async keep(request: Request): Promise<void> {
    // What the browser has dropped, because its page is gone, cannot be read any more.
    const answer = await request.response().catch(() => null);
    const headers = await answer?.headersArray().catch(() => null);
    if (!answer || !headers) return;
    const to = `${request.method()} ${request.url()} ${answer.status()}`;
    let lines = '';
    for (const { name, value } of headers) {
      const session = name.toLowerCase() === 'set-cookie' && value.match(/^\S*auditstream_session=([^;]+)/)?.[1];
      if (session) this.secrets.random(`cookie of session ${(this.sessions += 1)}`, session);
      else lines += `${name}: ${value}\n`;
    }
    this.evidence.add('headers', to, lines);
    const body = await answer.body().catch(() => Buffer.alloc(0));
    if (body.length > 0) this.evidence.add('bodies', to, body);
  }
}
