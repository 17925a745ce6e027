// The files that pages load, and how browsers cache them.
import { expect, test } from '../support/fixtures.ts';

test('program and style are compressed, and unchanged files are not sent again', async ({ demo }) => {
  for (const [file, type] of [
    ['auditstream.css', 'text/css; charset=utf-8'],
    ['auditstream.js', 'text/javascript; charset=utf-8'],
    ['auditstream.wasm', 'application/wasm'],
  ] as const) {
    const address = `${demo.address}/pkg/${file}`;
    for (const encoding of ['br', 'gzip']) {
      const response = await fetch(address, { headers: { 'accept-encoding': encoding } });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-encoding')).toBe(encoding);
      expect(response.headers.get('content-type')).toBe(type);
      expect(response.headers.get('cache-control')).toBe('no-cache');
      expect(response.headers.get('vary')).toContain('accept-encoding');
      // It is not a page.
      expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
      const again = await fetch(address, {
        headers: { 'accept-encoding': encoding, 'if-none-match': response.headers.get('etag') ?? '' },
      });
      expect(again.status).toBe(304);
    }
    const plain = await fetch(address, { headers: { 'accept-encoding': 'identity' } });
    expect(plain.headers.get('content-encoding')).toBeNull();
    const zipped = await fetch(address, { headers: { 'accept-encoding': 'gzip' } });
    expect(plain.headers.get('etag')).not.toBe(zipped.headers.get('etag'));
    expect(Buffer.from(await plain.arrayBuffer()).equals(Buffer.from(await zipped.arrayBuffer()))).toBe(true);
  }
});
