import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  ArtifactSpace,
  ArtifactStore,
  ByteRange,
  ByteSource,
} from '../src/contracts/artifact-store.ts';
import { isKeelsonError, KeelsonError } from '../src/errors.ts';
import { bytesOf, sha256Of } from '../src/testing/artifacts/scene.ts';
import type { Disguise } from './file-artifact-harness.ts';

const mebibyte = 1024 * 1024;
const someDigest = sha256Of(bytesOf(2_000, 6));

interface SpaceContext {
  readonly workspace: string;
  readonly store: ArtifactStore;
  readonly reopened: boolean;
  /** Shared by the spaces of one handle. */
  readonly memory: Map<string, number>;
}

function breakSpace(
  change: (space: ArtifactSpace, context: SpaceContext) => Partial<ArtifactSpace>,
): Disguise {
  return (store, { reopened }) => {
    const memory = new Map<string, number>();
    return breakStore((inner) => ({
      space: (workspace) => {
        const space = inner.space(workspace);
        const whole: ArtifactSpace = {
          put: (...args) => space.put(...args),
          open: (...args) => space.open(...args),
          find: (...args) => space.find(...args),
          verify: (...args) => space.verify(...args),
          keep: (...args) => space.keep(...args),
          remove: (...args) => space.remove(...args),
          list: (...args) => space.list(...args),
        };
        return { ...whole, ...change(space, { workspace, store: inner, reopened, memory }) };
      },
    }))(store, { dir: '', reopened });
  };
}

function breakStore(
  change: (store: ArtifactStore, dir: string) => Partial<ArtifactStore>,
): Disguise {
  return (store, { dir }) => ({
    space: (workspace) => store.space(workspace),
    collectLeftovers: (olderThanMs) => store.collectLeftovers(olderThanMs),
    uri: (workspace, sha256) => store.uri(workspace, sha256),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
    ...change(store, dir),
  });
}

/**
 * For each case of the suite of ArtifactStore a store that breaks this promise and no other; what it
 * does wrong is what such stores get wrong in earnest.
 */
export const brokenArtifactStores: Readonly<Record<string, Disguise>> = {
  'put: answers digest and size': breakSpace((space) => ({
    put: async (source, options) => {
      const { sha256, sizeBytes } = await space.put(source, options);
      return { sha256, sizeBytes: sizeBytes + 1 };
    },
  })),
  'put: takes bytes as people have them': breakSpace((space) => ({
    // The whole buffer behind a view.
    put: (source, options) =>
      space.put(source instanceof Buffer ? new Uint8Array(source.buffer) : source, options),
  })),
  'put: no bytes are a content too': breakSpace((space) => ({
    put: async (source, options) => {
      if (source instanceof Uint8Array && source.length === 0) throw refused('INVALID');
      return await space.put(source, options);
    },
  })),
  'put: a source may use its memory again': breakSpace((space) => ({
    put: (source, options) => space.put(isIterable(source) ? oneBehind(source) : source, options),
  })),
  'put: equal bytes again succeed, and are there once': breakSpace((space, { memory }) => ({
    put: async (source, options) => {
      const info = await space.put(source, options);
      memory.set(info.sha256, (memory.get(info.sha256) ?? 0) + 1);
      return info;
    },
    list: async function* (options) {
      for await (const entry of space.list(options)) {
        for (let i = 0; i < (memory.get(entry.sha256) ?? 1); i += 1) yield entry;
      }
    },
  })),
  'put: equal bytes at the same time succeed': breakSpace((space, { memory }) => ({
    put: async (source, options) => {
      const running = memory.get('running') ?? 0;
      memory.set('running', running + 1);
      try {
        if (running > 0) throw refused('CONFLICT');
        return await space.put(source, options);
      } finally {
        memory.set('running', (memory.get('running') ?? 0) - 1);
      }
    },
  })),
  'put: mends damaged content': breakSpace((space, { memory }) => ({
    // "It is there already."
    put: async (source, options) => {
      const key = source instanceof Uint8Array ? Buffer.from(source).toString('hex', 0, 500) : '';
      const known = memory.get(key);
      for await (const { sha256, sizeBytes } of space.list()) {
        if (known === sizeBytes) return { sha256, sizeBytes };
      }
      const info = await space.put(source, options);
      if (info.sizeBytes === 10_000 && key !== '') memory.set(key, info.sizeBytes);
      return info;
    },
  })),
  'put: bytes of another digest than expected are refused': breakSpace((space) => ({
    put: async (source, options) => {
      try {
        return await space.put(source, options);
      } catch (error) {
        // Too late: they are stored.
        if (isKeelsonError(error, 'CORRUPT') && options?.sha256 !== undefined)
          await space.put(source);
        throw error;
      }
    },
  })),
  'put: bytes of the digest expected are stored': breakSpace((space) => ({
    put: async (source, options) => {
      const info = await space.put(source, options);
      if (options?.sha256 !== undefined) throw refused('CORRUPT');
      return info;
    },
  })),
  'put: a source that fails leaves nothing': breakSpace((space) => ({
    put: async (source, options) => {
      const first: Uint8Array[] = [];
      try {
        return await space.put(isIterable(source) ? noteFirst(source, first) : source, options);
      } catch (error) {
        if (isKeelsonError(error, 'FAILED') && first[0] !== undefined) await space.put(first[0]);
        throw error;
      }
    },
  })),
  'put: an error of ours in the source passes through': breakSpace((space) => ({
    put: async (source, options) => {
      try {
        return await space.put(source, options);
      } catch (error) {
        if (!isKeelsonError(error, 'CORRUPT') || options?.sha256 !== undefined) throw error;
        throw new KeelsonError('FAILED', 'The source failed.', { cause: error });
      }
    },
  })),
  'put: what gives no bytes is refused': breakSpace((space) => ({
    put: (source, options) =>
      space.put(typeof source === 'string' ? Buffer.from(source) : source, options),
  })),
  'put: a file that is missing is NOT_FOUND': breakSpace((space) => ({
    put: async (source, options) => {
      try {
        return await space.put(source, options);
      } catch (error) {
        throw isKeelsonError(error, 'NOT_FOUND') ? refused('FAILED') : error;
      }
    },
  })),
  'put: nothing is visible before its end': breakSpace((space) => ({
    put: async (source, options) => {
      const begun: string[] = [];
      try {
        return await space.put(
          isIterable(source) ? storeFirst(source, space, begun) : source,
          options,
        );
      } finally {
        for (const sha256 of begun) await space.remove(sha256);
      }
    },
  })),
  'put: can be aborted while it waits for the source': breakSpace((space) => ({
    put: async (source, options) => {
      const begun = options?.signal?.aborted === false;
      try {
        return await space.put(source, options);
      } catch (error) {
        throw begun && isKeelsonError(error, 'ABORTED') ? error.cause : error;
      }
    },
  })),
  'put: does not begin once aborted': breakSpace((space) => ({
    put: (source, options) =>
      options?.signal?.aborted === true ? space.put(source) : space.put(source, options),
  })),
  'put: tells how far it is': breakSpace((space) => ({
    put: (source, options = {}) => {
      const { onProgress: _, ...others } = options;
      return space.put(source, others);
    },
  })),
  'put: tells it some times a second only': breakSpace((space) => ({
    put: (source, options) => {
      const tell = options?.onProgress;
      return space.put(isIterable(source) && tell ? counted(source, tell) : source, options);
    },
  })),
  'put: memory does not grow with the content': breakSpace((space) => ({
    put: (source, options) => space.put(isIterable(source) ? kept(source, []) : source, options),
  })),
  'put: what it has acknowledged is there for others': breakSpace((space, { reopened }) =>
    // As if what the other handle has written were still in its memory.
    reopened ? { open: () => Promise.reject(refused('NOT_FOUND')) } : space,
  ),
  'open: gives all bytes back': breakSpace((space) => ({
    open: async (sha256, range, signal) => {
      const stream = await space.open(sha256, range, signal);
      const info = await space.find(sha256);
      return range === undefined && (info?.sizeBytes ?? 0) > 3 * mebibyte
        ? cutShort(stream)
        : stream;
    },
  })),
  'open: gives any range': breakSpace((space) => ({
    open: (sha256, range, signal) => {
      const end = range?.end;
      // The chunk that ends where the range ends is one byte short.
      const short =
        end !== undefined && end > 0 && end % mebibyte === 0 ? { ...range, end: end - 1 } : range;
      return space.open(sha256, short, signal);
    },
  })),
  'open: an empty range is an empty stream': breakSpace((space) => ({
    open: async (sha256, range, signal) => {
      if (range?.start !== undefined && range.start === range.end) throw refused('INVALID');
      return await space.open(sha256, range, signal);
    },
  })),
  'open: a range outside the content is refused': breakSpace((space) => ({
    open: async (sha256, range, signal) => {
      const size = (await space.find(sha256))?.sizeBytes ?? 0;
      return await space.open(sha256, range && clamp(range, size), signal);
    },
  })),
  'open: NOT_FOUND for what is not there': breakSpace((space) => ({
    open: async (sha256, range, signal) => {
      try {
        return await space.open(sha256, range, signal);
      } catch (error) {
        throw isKeelsonError(error, 'NOT_FOUND') ? refused('NOT_FOUND') : error;
      }
    },
  })),
  'open: damage is found before it is handed over': breakSpace((space, { store, workspace }) => ({
    open: async (sha256, range, signal) => {
      const verified = await space.open(sha256, range, signal);
      if (range !== undefined) return verified;
      return raw(await readFile(fileURLToPath(store.uri(workspace, sha256))), verified);
    },
  })),
  'open: ranges are verified too': breakSpace((space, { store, workspace }) => ({
    open: async (sha256, range, signal) => {
      const verified = await space.open(sha256, range, signal);
      if (range?.start === undefined) return verified;
      await verified.cancel();
      const bytes = await readFile(fileURLToPath(store.uri(workspace, sha256)));
      return ReadableStream.from([bytes.subarray(range.start, range.end)]);
    },
  })),
  'open: can be aborted': breakSpace((space) => ({
    open: (sha256, range) => space.open(sha256, range),
  })),
  'open: a stream may be given up': breakSpace((space) => ({
    open: async (sha256, range, signal) => stubborn(await space.open(sha256, range, signal)),
  })),
  'verify: answers for sound content': breakSpace((space) => ({
    verify: async (sha256) => ({ ...(await space.verify(sha256)), sizeBytes: 0 }),
  })),
  'verify: CORRUPT for damaged content': breakSpace((space) => ({
    verify: async (sha256) => {
      const info = await space.find(sha256);
      if (info === undefined) throw new KeelsonError('NOT_FOUND', `No ${sha256}.`);
      return info;
    },
  })),
  'verify: NOT_FOUND for what is not there': breakSpace((space) => ({
    verify: async (sha256, signal) => {
      try {
        return await space.verify(sha256, signal);
      } catch (error) {
        throw isKeelsonError(error, 'NOT_FOUND') ? refused('NOT_FOUND') : error;
      }
    },
  })),
  'find: answers size, or undefined': breakSpace((space) => ({
    find: async (sha256) => {
      const info = await space.find(sha256);
      return info && { ...info, sizeBytes: 0 };
    },
  })),
  'remove: what is removed is gone': breakSpace((space) => ({
    remove: async (sha256, options) => {
      const found = await space.find(sha256);
      if (found?.sizeBytes !== 2_000) return await space.remove(sha256, options);
      return true;
    },
  })),
  'remove: says whether it removed anything': breakSpace((space) => ({
    remove: async (sha256, options) => {
      const removed = await space.remove(sha256, options);
      return options?.storedBefore === undefined ? true : removed;
    },
  })),
  'remove: with storedBefore, only older content goes': breakSpace((space) => ({
    remove: async (sha256, options) => {
      const found = await space.find(sha256);
      return await space.remove(sha256, found?.sizeBytes === 2_002 ? {} : options);
    },
  })),
  'remove: content put again is as new': breakSpace((space, { memory }) => ({
    // "It is there already."
    put: async (source, options) => {
      const key =
        source instanceof Uint8Array && source.length === 2_003
          ? Buffer.from(source).toString('hex', 0, 500)
          : '';
      if (key !== '' && memory.has(key)) {
        for await (const { sha256, sizeBytes } of space.list()) {
          if (sizeBytes === 2_003) return { sha256, sizeBytes };
        }
      }
      const info = await space.put(source, options);
      if (key !== '') memory.set(key, 1);
      return info;
    },
  })),
  'keep: answers whether the content is there': breakSpace((space) => ({
    keep: async (sha256) => {
      await space.keep(sha256);
      return true;
    },
  })),
  'keep: what is kept is as new': breakSpace((space) => ({
    keep: async (sha256) => {
      const found = await space.find(sha256);
      return found?.sizeBytes === 2_005 || (await space.keep(sha256));
    },
  })),
  'remove: a put at the same time wins': breakSpace((space) => ({
    // Looked at first, removed later.
    remove: async (sha256, options) => {
      if (!/^[0-9a-f]{64}$/.test(sha256)) return await space.remove(sha256);
      const [entry] = await Array.fromAsync(space.list({ prefix: sha256 }));
      const before = options?.storedBefore;
      if (entry === undefined || (before !== undefined && entry.storedAt >= before)) return false;
      if (before !== undefined) await new Promise((resolve) => setTimeout(resolve, 100));
      return await space.remove(sha256);
    },
  })),
  'remove: what is not there is no error': breakSpace((space) => ({
    remove: async (sha256, options) => {
      const found = await space.find(sha256);
      if (found === undefined && sha256 === someDigest) throw refused('NOT_FOUND');
      return await space.remove(sha256, options);
    },
  })),
  'list: shows everything by digest': breakSpace((space) => ({
    // As the directory gives them.
    list: async function* (options = {}) {
      const entries = await Array.fromAsync(space.list(options));
      const plain = options.after === undefined && options.prefix === undefined;
      yield* plain ? entries.toReversed() : entries;
    },
  })),
  'list: goes on after a digest': breakSpace((space) => ({
    list: async function* (options) {
      const after = options?.after;
      const rest = await Array.fromAsync(space.list(options));
      if (after !== undefined) {
        for await (const entry of space.list({ prefix: after })) yield entry;
      }
      yield* rest;
    },
  })),
  'list: by prefix': breakSpace((space) => ({
    list: async function* (options) {
      await Array.fromAsync(space.list(options));
      yield* space.list(options?.after === undefined ? {} : { after: options.after });
    },
  })),
  'list: says when a content was stored': breakSpace((space) => ({
    list: async function* (options) {
      for await (const entry of space.list(options)) {
        const inSeconds = Math.floor(entry.storedAt / 1000);
        yield entry.sizeBytes === 2_000 ? { ...entry, storedAt: inSeconds } : entry;
      }
    },
  })),
  'digests: what is none is refused': breakSpace((space) => ({
    find: (sha256) => space.find(sha256.toLowerCase()),
  })),
  'spaces: see nothing of each other': breakSpace((space, { store }) => ({
    // A cache that forgot the workspace in its key.
    find: async (sha256) => (await space.find(sha256)) ?? (await store.space('home').find(sha256)),
  })),
  'spaces: removing in one leaves the others': breakSpace((space, { store, workspace }) => ({
    remove: async (sha256, options) => {
      const removed = await space.remove(sha256, options);
      if (workspace !== 'home') await store.space('home').remove(sha256);
      return removed;
    },
  })),
  'spaces: hostile names stay apart': breakStore((store) => ({
    space: (workspace) => {
      store.space(workspace);
      return store.space(workspace.replaceAll(/[^a-zA-Z0-9]/g, '_'));
    },
  })),
  'spaces: names that no store can keep are refused': breakStore((store) => ({
    space: (workspace) => store.space(workspace.replaceAll('\u0000', '_')),
  })),
  'leftovers: stored contents and running uploads are none': breakStore((store, dir) => ({
    collectLeftovers: async (olderThanMs) => {
      const answer = await store.collectLeftovers(olderThanMs);
      const incoming = join(dir, 'incoming');
      for (const name of await readdir(incoming)) await rm(join(incoming, name));
      return answer;
    },
  })),
  'uri: names each content of each workspace': breakStore((store) => ({
    uri: (_, sha256) => store.uri('home', sha256),
  })),
  'close: everything is refused afterwards': breakSpace((space) => ({
    find: async (sha256) => {
      try {
        return await space.find(sha256);
      } catch (error) {
        if (isKeelsonError(error, 'CLOSED')) return undefined;
        throw error;
      }
    },
  })),
  'close: twice is fine': breakStore((store) => {
    let closed = false;
    return {
      close: async () => {
        if (closed) throw refused('CLOSED');
        closed = true;
        await store.close();
      },
    };
  }),
  'close: ends uploads that are going on': (store, context) => {
    let closed = false;
    const putting = breakSpace((space) => ({
      put: async (source, options) => {
        const begun = !closed;
        try {
          return await space.put(source, options);
        } catch (error) {
          throw begun && isKeelsonError(error, 'CLOSED') ? refused('UNAVAILABLE') : error;
        }
      },
    }))(store, context);
    return {
      ...putting,
      close: async () => {
        closed = true;
        await store.close();
      },
    };
  },
};

function refused(code: KeelsonError['code']): KeelsonError {
  return new KeelsonError(code, 'Refused, and nothing said.');
}

function isIterable(source: ByteSource): source is AsyncIterable<Uint8Array> {
  return typeof source === 'object' && source !== null && Symbol.asyncIterator in source;
}

async function* oneBehind(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let before: Uint8Array | undefined;
  for await (const piece of source) {
    if (before !== undefined) yield before;
    before = piece;
  }
  if (before !== undefined) yield before;
}

async function* noteFirst(
  source: AsyncIterable<Uint8Array>,
  into: Uint8Array[],
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    if (into.length === 0) into.push(piece);
    yield piece;
  }
}

async function* storeFirst(
  source: AsyncIterable<Uint8Array>,
  space: ArtifactSpace,
  stored: string[],
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    if (stored.length === 0 && piece.length > mebibyte)
      stored.push((await space.put(piece)).sha256);
    yield piece;
  }
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let taken = 0;
  for await (const piece of source) {
    taken += piece.length;
    tell(taken);
    yield piece;
  }
}

async function* kept(
  source: AsyncIterable<Uint8Array>,
  all: Uint8Array[],
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    all.push(piece.slice());
    yield piece;
  }
  // Alive until the end.
  if (all.length < 0) throw new Error('never');
}

function clamp(range: ByteRange, size: number): ByteRange {
  const within = (value: number): number => Math.max(0, Math.min(size, Math.floor(value) || 0));
  const start = within(range.start ?? 0);
  return { start, end: Math.max(start, within(range.end ?? size)) };
}

/** Forgets the last piece. */
function cutShort(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  let held: Uint8Array | undefined;
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (piece, controller) => {
        if (held !== undefined) controller.enqueue(held);
        held = piece;
      },
    }),
  );
}

/** All bytes as they lie there, and only then what the verified stream says of them. */
function raw(bytes: Uint8Array, verified: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  let given = false;
  const reader = verified.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!given && bytes.length > 0) {
        given = true;
        controller.enqueue(bytes);
        return;
      }
      for (;;) {
        const { done } = await reader.read();
        if (done) break;
      }
      controller.close();
    },
    cancel: () => reader.cancel(),
  });
}

function stubborn(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await reader.cancel();
      throw new Error('It was not at its end.');
    },
  });
}
