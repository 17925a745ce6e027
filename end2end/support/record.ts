// A proxy that keeps every response of a server, to the last byte.
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliDecompressSync, constants, unzipSync } from 'node:zlib';

export type RecordedResponse = {
  /** The request and the status: `GET /settings 200`. */
  to: string;
  /** Names and values as sent. */
  headers: [name: string, value: string][];
  /** Without its content encoding. */
  body: Buffer;
};

export class Recorder {
  readonly responses: RecordedResponse[] = [];
  address = '';
  /** The server, as `http://127.0.0.1:PORT`. */
  server = '';
  private readonly proxy: Server = createServer((from, to) => this.pass(from, to));
  private readonly agent = new Agent({ keepAlive: true });

  async start(): Promise<void> {
    await new Promise<void>((ready) => this.proxy.listen(0, '127.0.0.1', ready));
    this.address = `http://127.0.0.1:${(this.proxy.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.agent.destroy();
    this.proxy.closeAllConnections();
    await new Promise((stopped) => this.proxy.close(stopped));
  }

  /** The cookies that responses set, by name. */
  cookies(): [name: string, value: string][] {
    const lines = this.responses.flatMap(({ headers }) => headers.filter(([name]) => name.toLowerCase() === 'set-cookie'));
    return lines.flatMap(([, line]) => {
      const cookie = line.match(/^([^=]+)=([^;]+)/);
      return cookie ? [[cookie[1]!, cookie[2]!] as [string, string]] : [];
    });
  }

  private pass(from: IncomingMessage, to: ServerResponse): void {
    const { method, url, rawHeaders } = from;
    const sent = request(new URL(url ?? '/', this.server), { method, headers: rawHeaders, agent: this.agent }, (response) => {
      to.writeHead(response.statusCode ?? 502, response.rawHeaders);
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      // A response that broke off counts up to that point.
      response.on('close', () => {
        const encoding = response.headers['content-encoding'];
        const body = decoded(Buffer.concat(parts), encoding);
        this.responses.push({ to: `${method} ${url} ${response.statusCode}`, headers: pairs(response.rawHeaders), body });
      });
      response.pipe(to);
    });
    sent.on('error', () => to.destroy());
    to.on('close', () => sent.destroy());
    from.pipe(sent);
  }
}

function pairs(raw: string[]): [string, string][] {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ''] as [string, string]] : []));
}

function decoded(body: Buffer, encoding: string | undefined): Buffer {
  if (body.length === 0) return body;
  switch (encoding) {
    case undefined:
      return body;
    case 'br':
      return brotliDecompressSync(body, { finishFlush: constants.BROTLI_OPERATION_FLUSH });
    case 'gzip':
    case 'deflate':
      return unzipSync(body, { finishFlush: constants.Z_SYNC_FLUSH });
    default:
      throw new Error(`the encoding ${encoding} cannot be read`);
  }
}
