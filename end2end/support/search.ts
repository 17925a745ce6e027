// Searches the traces of a run for secrets: byte by byte, in every form and compression.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, constants, inflateRawSync, inflateSync } from 'node:zlib';
import { forms, type Secret } from './secrets.ts';

/** The largest size of an unpacked member. A larger one is an error and is not skipped. */
const LARGEST = 256 << 20;
/** The maximum depth of nested compressions. */
const DEEPEST = 3;

/** A finding. `within` lists the compressions around it, outermost first. */
export type Found = { secret: string; form: string; place: string; item: string; within: string; offset: number };

/**
 * Items of a place that contain a secret by design; with `times`, exactly that often. The secret
 * must be found there, which proves that the search works.
 */
export type Exception = { secret: string; place: string; item: RegExp; why: string; times?: number };

/** The traces of a run, by place. */
export class Evidence {
  private readonly places = new Map<string, Map<string, Buffer>>();
  private readonly known = new Map<string, { within: string; bytes: Buffer }[]>();

  add(place: string, item: string, bytes: Buffer | string): void {
    const items = this.places.get(place) ?? new Map<string, Buffer>();
    this.places.set(place, items);
    let name = item;
    for (let again = 2; items.has(name); again += 1) name = `${item} (${again})`;
    items.set(name, Buffer.from(bytes));
  }

  /** Adds all files of a folder. */
  addFolder(place: string, folder: string): void {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const file = join(folder, name);
      if (statSync(file).isFile()) this.add(place, name, readFileSync(file));
    }
  }

  /** The places with at least one byte. */
  get all(): string[] {
    return [...this.places.keys()];
  }

  /** The names of the items in a place. */
  items(place: string): string[] {
    return [...(this.places.get(place)?.keys() ?? [])];
  }

  /**
   * Finds the secrets. Throws unless exactly the named places have content, because an empty search
   * finds nothing.
   */
  search(secrets: Secret[], places: string[]): Found[] {
    if (places.length === 0 || secrets.length === 0) throw new Error('there is nothing to look for, or nowhere to look');
    const others = [...this.places.keys()].filter((place) => !places.includes(place));
    if (others.length > 0) throw new Error(`places that were not named: ${others.join(', ')}`);
    const look = searcher(secrets);
    const found: Found[] = [];
    for (const place of places) {
      const items = this.places.get(place);
      if (!items || [...items.values()].every((bytes) => bytes.length === 0)) throw new Error(`nothing to see in: ${place}`);
      for (const [item, bytes] of items) {
        for (const layer of this.layers(item, bytes)) {
          for (const hit of look(layer.bytes)) found.push({ ...hit, place, item, within: layer.within });
        }
      }
    }
    return found;
  }

  /** A summary of the search in one line. */
  summary(secrets: Secret[]): string {
    const words = [...this.places].map(([place, items]) => {
      const all = [...items.values()];
      const layers = [...items].flatMap(([item, bytes]) => this.layers(item, bytes));
      const lines = place.startsWith('log') ? `${count(all.reduce((sum, bytes) => sum + newlines(bytes), 0))} lines, ` : '';
      const unpacked = layers.length > all.length ? `, ${count(layers.length - all.length)} unpacked` : '';
      return `${place}: ${count(all.length)}, ${lines}${size(layers.map((layer) => layer.bytes))}${unpacked}`;
    });
    const pieces = secrets.flatMap((secret) => secret.pieces);
    const needles = pieces.flatMap((piece) => forms(piece).map(([, bytes]) => bytes.toString('latin1')));
    const kinds = new Set(forms(pieces[0]!).map(([form]) => form)).size;
    const looked = `${secrets.length} secrets in ${kinds} forms (${count(new Set(needles).size)} byte strings)`;
    return `canary: ${looked} in ${this.places.size} places: ${words.join('; ')}`;
  }

  /** The bytes of an item and everything unpacked from them. Equal bytes are unpacked once. */
  private layers(item: string, bytes: Buffer): { within: string; bytes: Buffer }[] {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const layers = this.known.get(digest) ?? [...unpack(bytes, '', 0)];
    this.known.set(digest, layers);
    if (/\.(gz|zst|br)$/.test(item) && layers.length === 1) throw new Error(`${item} cannot be unpacked`);
    return layers;
  }
}

/** Describes the first finding of each item that no exception allows. Each exception must apply. */
export function leaks(found: Found[], exceptions: Exception[]): string[] {
  const allows = (exception: Exception, hit: Found) =>
    exception.secret === hit.secret && exception.place === hit.place && exception.item.test(hit.item);
  for (const exception of exceptions) {
    const { secret, place, why, times } = exception;
    const hits = found.filter((hit) => allows(exception, hit)).map(({ item, within, offset }) => `${item} ${within}${offset}`);
    const met = new Set(hits).size;
    if (met === 0 || met !== (times ?? met)) throw new Error(`${secret} was met ${met} times in ${place} (${why})`);
  }
  const first = new Map<string, string>();
  for (const hit of found.filter((hit) => !exceptions.some((exception) => allows(exception, hit)))) {
    const where = `${hit.secret}: ${hit.place}: ${hit.item}: ${hit.within}`;
    if (!first.has(where)) first.set(where, `${where}${hit.form} at ${hit.offset}`);
  }
  return [...first.values()].sort();
}

/** Finds all forms of all secrets in one pass: compares a form where its first four bytes match. */
function searcher(secrets: Secret[]): (bytes: Buffer) => { secret: string; form: string; offset: number }[] {
  const beginnings = new Map<number, { secret: string; form: string; bytes: Buffer }[]>();
  // The possible beginnings, indexed by 16 of their bits.
  const maybe = new Uint8Array(1 << 16);
  const short = (beginning: number) => (beginning ^ (beginning >>> 16)) & 0xffff;
  for (const { name, pieces } of secrets) {
    for (const [form, bytes] of pieces.flatMap(forms)) {
      const beginning = bytes.readInt32BE(0);
      maybe[short(beginning)] = 1;
      const same = beginnings.get(beginning) ?? [];
      if (!same.some((other) => other.bytes.equals(bytes) && other.secret === name)) same.push({ secret: name, form, bytes });
      beginnings.set(beginning, same);
    }
  }
  return (bytes) => {
    const found = [];
    let beginning = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      beginning = (beginning << 8) | bytes[at]!;
      if (maybe[short(beginning)] === 0 || at < 3) continue;
      const offset = at - 3;
      for (const needle of beginnings.get(beginning) ?? []) {
        const end = offset + needle.bytes.length;
        if (end <= bytes.length && needle.bytes.equals(bytes.subarray(offset, end))) {
          found.push({ secret: needle.secret, form: needle.form, offset });
        }
      }
    }
    return found;
  };
}

function* unpack(bytes: Buffer, within: string, depth: number): Generator<{ within: string; bytes: Buffer }> {
  yield { within, bytes };
  if (depth === DEEPEST) return;
  for (const [name, member] of members(bytes)) yield* unpack(member, `${within}${name} `, depth + 1);
}

/** Unpacks gzip and zlib at any offset, and zstd and brotli if they span all bytes. */
function* members(bytes: Buffer): Generator<[name: string, member: Buffer]> {
  // Truncated members are read as well: a database page may contain only a part of one.
  const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: LARGEST };
  for (let at = 0; at + 2 < bytes.length; at += 1) {
    const [first, second] = [bytes[at]!, bytes[at + 1]!];
    if (first === 0x1f && second === 0x8b && bytes[at + 2] === 8) {
      yield* attempt(`gzip at ${at}`, () => inflateRawSync(bytes.subarray(gzipContent(bytes, at)), options));
    } else if (first === 0x78 && (second === 0x01 || second === 0x5e || second === 0x9c || second === 0xda)) {
      yield* attempt(`zlib at ${at}`, () => inflateSync(bytes.subarray(at), options));
    }
  }
  if (bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528) yield ['zstd', unzstd(bytes)];
  yield* attempt('brotli', () => brotliDecompressSync(bytes, { maxOutputLength: LARGEST }));
}

/** Returns the offset of a gzip member's content, after its header (RFC 1952). */
function gzipContent(bytes: Buffer, member: number): number {
  const flags = bytes[member + 3] ?? 0;
  let at = member + 10;
  if (flags & 4) at += 2 + (bytes[at] ?? 0) + ((bytes[at + 1] ?? 0) << 8);
  // Name and comment, each terminated by a zero.
  for (const flag of [8, 16]) if (flags & flag) at = bytes.indexOf(0, at) + 1;
  return flags & 2 ? at + 2 : at;
}

function* attempt(name: string, decompress: () => Buffer): Generator<[name: string, member: Buffer]> {
  try {
    const member = decompress();
    if (member.length > 0) yield [name, member];
  } catch (error) {
    // It only looked like the beginning of a member.
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw error;
  }
}

/** Unpacks with DuckDB, because Node.js 20 has no zstd. */
function unzstd(bytes: Buffer): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'auditstream-zstd-'));
  try {
    writeFileSync(join(folder, 'member.zst'), bytes);
    return execFileSync('python3', ['support/unzstd.py', join(folder, 'member.zst')], { maxBuffer: LARGEST });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function newlines(bytes: Buffer): number {
  let lines = 0;
  for (const byte of bytes) lines += byte === 10 ? 1 : 0;
  return lines;
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}

function size(all: Buffer[]): string {
  const bytes = all.reduce((sum, { length }) => sum + length, 0);
  return bytes < 100_000 ? `${count(bytes)} B` : `${(bytes / 1e6).toFixed(1)} MB`;
}
