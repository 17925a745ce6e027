// The files that pages load, as browsers cache them.
import { expect, test } from '../support/fixtures.ts';

test('the program and the style come compressed, and unchanged files are not sent again', async ({ demo }) => {
  for (const [file, type] of [
    ['auditstream.css', 'text/css; charset=utf-8'],
    ['auditstream.js', 'text/javascript; charset=utf-8'],
    ['auditstream.wasm', 'application/wasm'],
  ] as const) {
    const address = `${demo.address}/pkg/${file}`;
    for (const encoding of ['br', 'gzip']) {
      const answer = await fetch(address, { headers: { 'accept-encoding': encoding } });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-encoding')).toBe(encoding);
      expect(answer.headers.get('content-type')).toBe(type);
      expect(answer.headers.get('cache-control')).toBe('no-cache');
      expect(answer.headers.get('vary')).toContain('accept-encoding');
      // It is no page.
      expect(answer.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
      const again = await fetch(address, {
        headers: { 'accept-encoding': encoding, 'if-none-match': answer.headers.get('etag') ?? '' },
      });
      expect(again.status).toBe(304);
    }
  }
});
