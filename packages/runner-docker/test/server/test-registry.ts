import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { execute, type TestEngine } from './test-engine.ts';

const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';

/** What a registry does wrong. */
export interface RegistryFaults {
  /** So many bytes of a layer are sent, then the connection is cut. */
  readonly cutAfterBytes?: number;
  /** How often it is cut; each time when left out. */
  readonly cuts?: number;
  /** So many bytes of a layer are sent, then no more, until {@link TestRegistry.goOn}. */
  readonly stopAfterBytes?: number;
  /** What it answers to everything. */
  readonly status?: number;
}

/** A registry of images (Distribution v2), which an engine of the tests reaches at its own loopback. */
export class TestRegistry {
  /** How an engine names it. */
  readonly address: string;
  /** The name and password that it asks for, if any. */
  credentials: { readonly username: string; readonly password: string } | undefined;
  faults: RegistryFaults = {};
  /** The `Authorization` of each request that had one. */
  readonly authorizations: string[] = [];
  /** Layers that were not sent to their end, because either side has cut the connection. */
  brokenOff = 0;
  /** How often the layer was asked for. */
  layerAsked = 0;
  /** Methods and paths, in the order in which they came. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, Buffer>();
  readonly #stopRelay: () => void;
  #layer = '';
  #goOn = Promise.withResolvers<void>();

  private constructor(address: string, server: Server, stopRelay: () => void) {
    this.address = address;
    this.#server = server;
    this.#stopRelay = stopRelay;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#answer(request, response);
    });
  }

  static async start(engine: TestEngine, port = 5000): Promise<TestRegistry> {
    const socket = join(engine.dir, `registry-${port}`);
    const server = createServer();
    server.listen(socket);
    await once(server, 'listening');
    const stopRelay = await engine.relay(port, socket);
    return new TestRegistry(`127.0.0.1:${port}`, server, stopRelay);
  }

  /** Takes the image of the engine's as `name:tag`; answers what the engine calls it then. */
  async add(engine: TestEngine, image: string, name: string, tag: string): Promise<string> {
    const dir = await mkdtemp(join(engine.dir, 'saved-'));
    try {
      const archive = join(dir, 'image.tar');
      await engine.docker('save', '-o', archive, image);
      await execute('tar', ['-C', dir, '-xf', archive]);
      const [saved] = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8')) as [
        { readonly Config: string; readonly Layers: readonly string[] },
      ];
      const config = this.#put(await readFile(join(dir, saved.Config)));
      const layers = [];
      for (const layer of saved.Layers) {
        const packed = await promisify(gzip)(await readFile(join(dir, layer)), { level: 1 });
        layers.push({
          mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
          ...this.#put(packed),
        });
      }
      this.#layer = layers[0]?.digest ?? '';
      const manifest = {
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: 'application/vnd.docker.container.image.v1+json', ...config },
        layers,
      };
      const bytes = Buffer.from(JSON.stringify(manifest));
      this.#manifests.set(`${name}:${tag}`, bytes);
      this.#manifests.set(`${name}:${digestOf(bytes)}`, bytes);
      return `${this.address}/${name}:${tag}`;
    } finally {
      await rm(dir, { recursive: true });
    }
  }

  #put(bytes: Buffer): { readonly digest: string; readonly size: number } {
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  }

  /** Sends the rest of what {@link RegistryFaults.stopAfterBytes} holds back. */
  goOn(): void {
    this.faults = {};
    this.#goOn.resolve();
    this.#goOn = Promise.withResolvers();
  }

  /** As it was at first, but for its images. */
  reset(): void {
    this.goOn();
    this.credentials = undefined;
    this.brokenOff = 0;
    this.layerAsked = 0;
    this.asked.length = 0;
    this.authorizations.length = 0;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '' } = request;
    const { authorization } = request.headers;
    this.asked.push(`${method} ${url}`);
    if (authorization !== undefined) this.authorizations.push(authorization);
    const { status } = this.faults;
    if (status !== undefined) return refuse(response, status, 'UNKNOWN', 'out of order');
    if (this.credentials !== undefined) {
      const { username, password } = this.credentials;
      const wanted = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      if (authorization !== wanted) {
        response.setHeader('www-authenticate', 'Basic realm="test"');
        return refuse(response, 401, 'UNAUTHORIZED', 'authentication required');
      }
    }
    if (url === '/v2/') {
      response.end('{}');
      return;
    }
    const [, name = '', kind, reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/(.+)$/.exec(url) ?? [];
    const found =
      kind === 'manifests'
        ? this.#manifests.get(`${name}:${reference}`)
        : this.#blobs.get(reference);
    if (found === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
    response.setHeader('content-length', found.length);
    response.setHeader('docker-content-digest', digestOf(found));
    response.setHeader(
      'content-type',
      kind === 'manifests' ? manifestType : 'application/octet-stream',
    );
    if (method === 'HEAD') {
      response.end();
      return;
    }
    if (reference === this.#layer) return this.#sendLayer(found, request, response);
    response.end(found);
  }

  async #sendLayer(
    bytes: Buffer,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    this.layerAsked += 1;
    const { cutAfterBytes, cuts = Number.POSITIVE_INFINITY, stopAfterBytes } = this.faults;
    const goOn = this.#goOn.promise;
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = bytes.subarray(from);
    if (from > 0) {
      response.statusCode = 206;
      response.setHeader('content-length', rest.length);
      response.setHeader('content-range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
    }
    response.once('close', () => {
      if (!response.writableFinished) this.brokenOff += 1;
    });
    const cut = cutAfterBytes !== undefined && this.brokenOff < cuts;
    const first = cut ? cutAfterBytes : stopAfterBytes;
    if (first === undefined) {
      response.end(rest);
      return;
    }
    await new Promise((sent) => response.write(rest.subarray(0, first), sent));
    if (cut) {
      response.destroy();
      return;
    }
    await goOn;
    response.end(rest.subarray(first));
  }

  async stop(): Promise<void> {
    this.#stopRelay();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** An image of nothing but some bytes besides the test's, so that there is something to fetch. */
export async function bigImage(engine: TestEngine, name: string, bytes: Uint8Array): Promise<void> {
  const dir = await mkdtemp(join(engine.dir, 'big-'));
  try {
    await writeFile(join(dir, 'weights'), bytes);
    await engine.docker('create', '--name', 'big', 'keelson-test:busybox', '/bin/sh');
    await engine.docker('cp', join(dir, 'weights'), 'big:/weights');
    const archive = join(dir, 'image.tar');
    await engine.docker('export', '-o', archive, 'big');
    await engine.docker('rm', 'big');
    await engine.docker('import', '--change', 'ENV PATH=/bin', archive, name);
  } finally {
    await rm(dir, { recursive: true });
  }
}
