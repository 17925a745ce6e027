// The search for secrets finds them in every form and compression, at any offset.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from '@playwright/test';
import { Evidence, type Exception, leaks } from '../support/search.ts';
import { Secrets } from '../support/secrets.ts';

/** Returns the forms in which secrets are found in some bytes. */
function formsFound(secrets: Secrets, bytes: Buffer | string, item = 'item'): string[] {
  const evidence = new Evidence();
  evidence.add('place', item, bytes);
  return evidence.search(secrets.all, ['place']).map((hit) => `${hit.within}${hit.form}`);
}

function zstd(text: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'auditstream-zstd-'));
  const file = join(folder, 'text.zst');
  const write = `import duckdb, sys; duckdb.execute("COPY (SELECT ? AS line) TO '${file}' (FORMAT json, COMPRESSION zstd)", [sys.stdin.read()])`;
  execFileSync('python3', ['-c', write], { input: text });
  const bytes = execFileSync('cat', [file]);
  rmSync(folder, { recursive: true });
  return bytes;
}

test('a secret is found in every form and at any offset', () => {
  const secrets = new Secrets();
  const secret = secrets.text('secret');
  const bytes = Buffer.from(secret);
  const each = (write: (byte: number) => string, separator = '') => [...bytes].map(write).join(separator);
  const hex = (byte: number) => byte.toString(16).padStart(2, '0');
  const written: Record<string, string | Buffer> = {
    raw: secret,
    JSON: JSON.stringify({ secret }),
    'JSON in JSON': JSON.stringify({ text: JSON.stringify({ secret }) }),
    percent: encodeURIComponent(secret),
    form: new URLSearchParams({ secret }).toString(),
    HTML: secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;'),
    hex: bytes.toString('hex'),
    'upper-case hex': bytes.toString('hex').toUpperCase(),
    'all percent': each((byte) => `%${hex(byte).toUpperCase()}`),
    'all percent, lower case': each((byte) => `%${hex(byte)}`),
    'all \\u': each((byte) => `\\u00${hex(byte)}`),
    'all \\u, upper case': each((byte) => `\\u00${hex(byte).toUpperCase()}`),
    'all \\x': each((byte) => `\\x${hex(byte)}`),
    'all HTML': each((byte) => `&#${byte};`),
    'all HTML, hexadecimal': each((byte) => `&#x${hex(byte)};`),
    'UTF-16': Buffer.from(secret, 'utf16le'),
    'UTF-16, big-endian': Buffer.from(secret, 'utf16le').swap16(),
    bytes: JSON.stringify([...bytes]),
    'bytes in Debug': `[${[...bytes].join(', ')}]`,
  };
  for (const offset of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.from('ab:'.slice(0, offset)), bytes, Buffer.from('tail')]);
    written[`base64 at ${offset}`] = text.toString('base64');
    written[`base64url at ${offset}`] = text.toString('base64url');
  }
  for (const [form, text] of Object.entries(written)) {
    for (const before of ['', 'x', 'xy', 'xyz']) {
      const found = formsFound(secrets, Buffer.concat([Buffer.from(before), Buffer.from(text), Buffer.from('after')]));
      expect(new Set(found).size, `${form} after “${before}”`).toBeGreaterThan(0);
    }
  }
});

test('half of a secret is found, and a key both as bytes and as text', () => {
  const secrets = new Secrets();
  const secret = secrets.text('secret', ' ');
  const key = secrets.key('key', 'whsec_');
  const random = secrets.random('token', `auditstream_${Buffer.alloc(32, 'random bytes').toString('base64url')}`, 'auditstream_');
  expect(formsFound(secrets, secret.split(' ')[0]!)).toContain('raw');
  expect(formsFound(secrets, secret.split(' ')[1]!)).toContain('raw');
  expect(formsFound(secrets, Buffer.from(key.slice('whsec_'.length), 'base64'))).toContain('raw');
  expect(formsFound(secrets, Buffer.from(key).toString('base64'))).toContain('base64');
  expect(formsFound(secrets, random)).toContain('raw');
  expect(formsFound(secrets, Buffer.alloc(32, 'random bytes'))).toContain('raw');
  expect(formsFound(secrets, new Secrets().text('of another run'))).toEqual([]);
});

test('compressed data is unpacked inside other bytes and more than once', () => {
  const secrets = new Secrets();
  // Hexadecimal, so that every compression changes it.
  const text = Buffer.from(secrets.text('secret')).toString('hex');
  const packed: Record<string, Buffer> = {
    gzip: gzipSync(text),
    'gzip in the middle': Buffer.concat([Buffer.alloc(999, 'x'), gzipSync(text), Buffer.alloc(999, 'y')]),
    'gzip without its end': gzipSync(text.repeat(9)).subarray(0, -12),
    zlib: Buffer.concat([Buffer.from('x'), deflateSync(text)]),
    brotli: brotliCompressSync(text),
    zstd: zstd(text),
    'zstd in gzip': gzipSync(zstd(text)),
    'gzip in gzip in zlib': deflateSync(gzipSync(gzipSync(text))),
  };
  for (const [name, bytes] of Object.entries(packed)) {
    expect(bytes.includes(text)).toBe(false);
    expect(formsFound(secrets, bytes), name).not.toEqual([]);
  }
});

test('a broken object, an empty place and an unnamed place are errors', () => {
  const secrets = new Secrets();
  secrets.text('secret');
  expect(() => formsFound(secrets, 'no gzip', 'object.ndjson.gz')).toThrow('object.ndjson.gz cannot be unpacked');
  const evidence = new Evidence();
  expect(() => evidence.search(secrets.all, [])).toThrow('nowhere to look');
  evidence.add('log', 'server', 'a line');
  expect(() => evidence.search([], ['log'])).toThrow('nothing to look for');
  expect(() => evidence.search(secrets.all, ['log', 'database'])).toThrow('nothing to see in: database');
  evidence.add('database', 'empty.db', '');
  expect(() => evidence.search(secrets.all, ['log', 'database'])).toThrow('nothing to see in: database');
  expect(() => evidence.search(secrets.all, ['log'])).toThrow('places that were not named: database');
});

test('an exception applies to its secret and place only, and must apply', () => {
  const secrets = new Secrets();
  const token = secrets.text('token');
  const evidence = new Evidence();
  evidence.add('responses', 'POST /v1/tokens', token);
  const shown: Exception = { secret: 'token', place: 'responses', item: /^POST/, why: 'shown once' };
  const search = () => evidence.search(secrets.all, ['responses']);
  expect(leaks(search(), [shown])).toEqual([]);
  evidence.add('responses', 'GET /v1/tokens', JSON.stringify([{ token }]));
  expect(leaks(search(), [shown])).toContain('token: responses: GET /v1/tokens: raw at 11');
  expect(leaks(search(), [shown]).some((leak) => leak.includes('POST'))).toBe(false);
  expect(() => leaks(search(), [shown, { ...shown, place: 'log' }])).toThrow('token was met 0 times in log');
  evidence.add('responses', 'POST /v1/tokens', `${token} ${token}`);
  const halves = secrets.all[0]!.pieces.length;
  expect(() => leaks(search(), [{ ...shown, times: halves }])).toThrow(`token was met ${3 * halves} times in responses (shown once)`);
});

test('a folder is searched with all its subfolders', () => {
  const folder = mkdtempSync(join(tmpdir(), 'auditstream-search-'));
  const secrets = new Secrets();
  execFileSync('mkdir', ['-p', join(folder, 'deep/er')]);
  writeFileSync(join(folder, 'deep/er/.hidden'), `x${secrets.text('secret')}`);
  const evidence = new Evidence();
  evidence.addFolder('folder', folder);
  rmSync(folder, { recursive: true });
  expect(evidence.search(secrets.all, ['folder'])[0]).toMatchObject({ item: 'deep/er/.hidden', form: 'raw', offset: 1 });
});
