// The demo's bucket, read with clients that share no code with it: boto3, DuckDB and jsonschema.
import { execFileSync } from 'node:child_process';
import type { Demo } from './server.ts';

export type Bucket = {
  objects: number;
  /** Sequences of all events in the order of the keys. */
  sequences: number[];
  /** Lines that do not follow the payload schema, with the reason. */
  invalid: string[];
  /** The same events counted by DuckDB: all, and distinct ids. */
  duckdb: { events: number; ids: number };
};

/** Reads all objects whose keys contain a text. */
export function read(demo: Demo, part = ''): Bucket {
  const { endpoint, accessKey, secretKey } = demo.store;
  const output = execFileSync('python3', ['support/read_bucket.py', endpoint, 'audit-logs', part], {
    env: { ...process.env, AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_DEFAULT_REGION: 'us-east-1' },
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  return JSON.parse(output) as Bucket;
}

/** Returns whether the sequences have neither gaps nor duplicates. */
export function dense(sequences: number[]): boolean {
  return sequences.length > 0 && sequences.every((sequence, index) => sequence === sequences[0]! + index);
}
