// Marked secrets, and the forms in which one may be written.
import { randomBytes } from 'node:crypto';

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** `canary` and letters that are unique to this run. No escaping changes any of them. */
function mark(length = 24): string {
  const random = [...randomBytes(length)].map((byte) => letters[byte % letters.length]);
  return `canary${random.join('')}`.slice(0, length);
}

export type Secret = {
  name: string;
  /** The parts to search for, each too long to occur by chance. */
  pieces: Buffer[];
};

/** Characters that escaping leaves alone. The forms below cover escaping them anyway. */
const run = /[A-Za-z0-9_-]{16,}/g;

function piecesOf(name: string, value: string): Buffer[] {
  const runs = value.match(run) ?? [];
  if (runs.length === 0) throw new Error(`${name} is too short to be looked for`);
  return runs.map((text) => Buffer.from(text));
}

/** The secrets of one run: those that the test invents, and those that the server creates. */
export class Secrets {
  private readonly secrets = new Map<string, Secret>();

  get all(): Secret[] {
    return [...this.secrets.values()];
  }

  /** A word that is not secret and must be found everywhere, which proves that secrets would be. */
  readonly planted: Secret & { word: string } = (() => {
    const word = mark();
    return { name: 'planted word', word, pieces: [Buffer.from(word)] };
  })();

  /** Creates a secret with one character for every kind of escaping between its halves. */
  text(name: string, between = `+/="<&'>%\\ é`): string {
    return this.known(name, `${mark()}${between}${mark()}`);
  }

  /** Creates a secret of 32 bytes in base64. It is searched for as bytes and as text. */
  key(name: string, prefix = ''): string {
    return prefix + this.knownKey(name, Buffer.from(mark(32)).toString('base64'));
  }

  /** Adds a secret that was created elsewhere. */
  knownKey(name: string, text: string): string {
    this.secrets.set(name, { name, pieces: [Buffer.from(text, 'base64'), Buffer.from(text.replace(/=+$/, ''))] });
    return text;
  }

  /** Adds a secret that was created elsewhere. */
  known(name: string, value: string): string {
    this.secrets.set(name, { name, pieces: piecesOf(name, value) });
    return value;
  }

  /** Adds a secret that the server made of random bytes, which are searched for as well. */
  random(name: string, value: string, prefix = ''): string {
    const text = value.slice(prefix.length);
    this.secrets.set(name, { name, pieces: [...piecesOf(name, text), Buffer.from(text, 'base64url')] });
    return value;
  }
}

/** The base64 of a piece that is independent of the text around it, for each offset modulo 3. */
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

/** All forms of a piece. Some are equal, such as base64 and base64url. */
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
