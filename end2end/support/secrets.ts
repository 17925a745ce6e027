// Marked secrets, and the forms in which one may be written.
import { randomBytes } from 'node:crypto';

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** `canary` and letters that no other run has; no form of escaping need touch any of them. */
function mark(length = 24): string {
  const random = [...randomBytes(length)].map((byte) => letters[byte % letters.length]);
  return `canary${random.join('')}`.slice(0, length);
}

export type Secret = {
  name: string;
  /** What to look for: parts long enough to be met nowhere by chance. */
  pieces: Buffer[];
};

/** What escaping leaves alone. Whoever escapes more than it must is found by the forms below. */
const run = /[A-Za-z0-9_-]{16,}/g;

function piecesOf(name: string, value: string): Buffer[] {
  const runs = value.match(run) ?? [];
  if (runs.length === 0) throw new Error(`${name} is too short to be looked for`);
  return runs.map((text) => Buffer.from(text));
}

/** The secrets of one run: those that the test makes up, and those that the server makes. */
export class Secrets {
  private readonly secrets = new Map<string, Secret>();

  get all(): Secret[] {
    return [...this.secrets.values()];
  }

  /** A word that is no secret, to be met everywhere: what is not found by it would not be found by a secret either. */
  readonly planted: Secret & { word: string } = (() => {
    const word = mark();
    return { name: 'planted word', word, pieces: [Buffer.from(word)] };
  })();

  /** A new secret, with a character for every kind of escaping between its halves. */
  text(name: string, between = `+/="<&'>%\\ é`): string {
    return this.known(name, `${mark()}${between}${mark()}`);
  }

  /** A new secret of 32 bytes, in base64 as it is typed. It is looked for as these bytes, and as this text. */
  key(name: string, prefix = ''): string {
    return prefix + this.knownKey(name, Buffer.from(mark(32)).toString('base64'));
  }

  /** One that somebody else made. */
  knownKey(name: string, text: string): string {
    this.secrets.set(name, { name, pieces: [Buffer.from(text, 'base64'), Buffer.from(text.replace(/=+$/, ''))] });
    return text;
  }

  /** A secret that somebody else made. */
  known(name: string, value: string): string {
    this.secrets.set(name, { name, pieces: piecesOf(name, value) });
    return value;
  }

  /** One that the server made of random bytes: it is looked for as these, too. */
  random(name: string, value: string, prefix = ''): string {
    const text = value.slice(prefix.length);
    this.secrets.set(name, { name, pieces: [...piecesOf(name, text), Buffer.from(text, 'base64url')] });
    return value;
  }
}

/** The base64 that is the same wherever in a longer text a piece stands: one for each place in a group of three bytes. */
function base64(piece: Buffer, encoding: 'base64' | 'base64url'): Buffer[] {
  return [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), piece]).toString(encoding);
    const first = Math.ceil((offset * 8) / 6);
    const last = Math.floor(((offset + piece.length) * 8) / 6);
    return Buffer.from(text.slice(first, last));
  });
}

function each(piece: Buffer, write: (byte: number) => string, separator = ''): Buffer {
  return Buffer.from([...piece].map(write).join(separator));
}

/** All forms of a piece. Some are equal: base64 often to base64url. */
export function forms(piece: Buffer): [form: string, bytes: Buffer][] {
  const hex = (digits: number) => (byte: number) => byte.toString(16).padStart(digits, '0');
  const upper = (digits: number) => (byte: number) => hex(digits)(byte).toUpperCase();
  const wide = Buffer.from(piece.toString('latin1'), 'utf16le');
  return [
    ['raw', piece],
    ...base64(piece, 'base64').map((bytes): [string, Buffer] => ['base64', bytes]),
    ...base64(piece, 'base64url').map((bytes): [string, Buffer] => ['base64url', bytes]),
    ['hex', each(piece, hex(2))],
    ['hex', each(piece, upper(2))],
    ['percent-encoded', each(piece, (byte) => `%${hex(2)(byte)}`)],
    ['percent-encoded', each(piece, (byte) => `%${upper(2)(byte)}`)],
    ['\\u escaped', each(piece, (byte) => `\\u${hex(4)(byte)}`)],
    ['\\u escaped', each(piece, (byte) => `\\u${upper(4)(byte)}`)],
    ['\\x escaped', each(piece, (byte) => `\\x${hex(2)(byte)}`)],
    ['HTML escaped', each(piece, (byte) => `&#${byte};`)],
    ['HTML escaped', each(piece, (byte) => `&#x${hex(2)(byte)};`)],
    ['HTML escaped', each(piece, (byte) => `&#x${upper(2)(byte)};`)],
    ['UTF-16', wide],
    ['UTF-16', Buffer.from(wide).swap16()],
    ['list of bytes', each(piece, String, ',')],
    ['list of bytes', each(piece, String, ', ')],
  ];
}
