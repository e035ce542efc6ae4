import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ByteSource } from '../../contracts/artifact-store.ts';
import { KeelsonError } from '../../errors.ts';
import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  type ArtifactStoreHarness,
  assertNothingThere,
  bytesOf,
  inPieces,
  listAll,
  mebibyte,
  promised,
  readAll,
  sha256Of,
  stalled,
} from './scene.ts';

const some = bytesOf(10_000);
const someDigest = sha256Of(some);
const large = bytesOf(2.5 * mebibyte, 2);

/** What `put` promises. */
export const putCases: readonly Case<ArtifactStoreHarness>[] = [
  promised(
    'put: answers digest and size',
    'put resolves with the lower-case hex SHA-256 and the size of the bytes.',
    async ({ space }) => {
      const expected = { sha256: someDigest, sizeBytes: some.length };
      equal(await space.put(some), expected, 'Of bytes');
      const all = { sha256: sha256Of(large), sizeBytes: large.length };
      equal(await space.put(inPieces(large, 70_001)), all, 'Of a stream of several chunks');
    },
  ),
  promised(
    'put: takes bytes as people have them',
    'Uint8Array, Blob, ReadableStream, AsyncIterable and { path } of equal bytes are one content.',
    async ({ space }) => {
      const around = Buffer.concat([Buffer.from('before'), some, Buffer.from('behind')]);
      const directory = await mkdtemp(join(tmpdir(), 'keelson-suite-'));
      const path = join(directory, 'bytes');
      await writeFile(path, some);
      const sources: Readonly<Record<string, ByteSource>> = {
        'a Uint8Array': some,
        'a part of a larger buffer': around.subarray(6, 6 + some.length),
        'a Blob': new Blob([some.subarray(0, 10), some.subarray(10)]),
        'a ReadableStream': ReadableStream.from(inPieces(some, 1_234)),
        'an async iterable, with empty pieces': withEmptyPieces(),
        'a file': { path },
      };
      try {
        for (const [what, source] of Object.entries(sources)) {
          const { sha256 } = await space.put(source);
          equal(sha256, someDigest, `The digest of ${what}`);
        }
      } finally {
        await rm(directory, { recursive: true });
      }
    },
  ),
  promised(
    'put: no bytes are a content too',
    'Empty bytes can be stored, found and read.',
    async ({ space }) => {
      const { sha256 } = await space.put(new Uint8Array(0));
      ok((await space.find(sha256)) !== undefined, 'find should see it');
      equal((await readAll(await space.open(sha256))).length, 0, 'It should read as empty');
    },
  ),
  promised(
    'put: a source may use its memory again',
    'The memory of a piece belongs to the source again once the next piece is asked for.',
    async ({ space }) => {
      const piece = new Uint8Array(300_000);
      async function* give(): AsyncGenerator<Uint8Array> {
        for (let i = 1; i <= 10; i += 1) yield piece.fill(i);
      }
      const expected = Buffer.concat(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((i) => Buffer.alloc(300_000, i)),
      );
      const { sha256 } = await space.put(give());
      equal(sha256, sha256Of(expected), 'The bytes as they were when they were given');
    },
  ),
  promised(
    'put: equal bytes again succeed, and are there once',
    'Putting bytes that are there succeeds with the same answer; they are stored once.',
    async ({ space }) => {
      const first = await space.put(some);
      equal(await space.put(inPieces(some, 99)), first, 'The second answer');
      equal((await listAll(space)).length, 1, 'How many contents there are');
    },
  ),
  promised(
    'put: equal bytes at the same time succeed',
    'Uploads of equal bytes at the same time, from several handles too, all succeed.',
    async ({ space, reopen }) => {
      const spaces = [space, (await reopen()).space('home'), space];
      const answers = await Promise.all(spaces.map((one) => one.put(inPieces(large, 200_000))));
      const sha256 = sha256Of(large);
      equal(
        answers.map((answer) => answer.sha256),
        [sha256, sha256, sha256],
        'Their answers',
      );
      equal(sha256Of(await readAll(await space.open(sha256))), sha256, 'What is read');
    },
  ),
  promised(
    'put: mends damaged content',
    'After the bytes of a content that verify has found damaged are put again, it is sound.',
    async ({ space, damage }) => {
      for (const [bytes, offset] of [
        [some, 77],
        [large, 2 * mebibyte + 3],
      ] as const) {
        const { sha256 } = await space.put(bytes);
        await damage('home', sha256, offset);
        // That it rejects is another promise.
        await Promise.allSettled([space.verify(sha256)]);
        await space.put(bytes);
        const read = await readAll(await space.open(sha256));
        equal(sha256Of(read), sha256, 'It should be sound again');
      }
    },
  ),
  promised(
    'put: bytes of another digest than expected are refused',
    'put rejects with CORRUPT, and stores nothing, when the bytes do not have the digest expected.',
    async ({ space }) => {
      const expected = sha256Of(large);
      const error = await rejects(
        'CORRUPT',
        () => space.put(some, { sha256: expected }),
        'Other bytes than expected',
      );
      ok(error.message.includes(expected), 'The error should name the digest that was expected');
      await assertNothingThere(space, [expected, someDigest], 'After the refusal');
    },
  ),
  promised(
    'put: bytes of the digest expected are stored',
    'put resolves when the bytes have the digest that was expected.',
    async ({ space }) => {
      const { sha256 } = await space.put(some, { sha256: someDigest });
      equal(sha256, someDigest, 'The digest');
    },
  ),
  promised(
    'put: a source that fails leaves nothing',
    'When the source fails midway, put rejects with FAILED and its cause; nothing of it is visible.',
    async ({ space }) => {
      const cause = new Error('the cable was pulled');
      const begun = large.subarray(0, 1.25 * mebibyte);
      async function* give(): AsyncGenerator<Uint8Array> {
        yield begun.subarray(0, mebibyte);
        yield begun.subarray(mebibyte);
        throw cause;
      }
      const error = await rejects('FAILED', () => space.put(give()), 'A source that fails');
      ok(error.cause === cause, 'The error should have the fault of the source as its cause');
      const digests = [begun, begun.subarray(0, mebibyte)].map(sha256Of);
      await assertNothingThere(space, digests, 'After the failure');
    },
  ),
  promised(
    'put: an error of ours in the source passes through',
    'A KeelsonError that the source throws is what put rejects with.',
    async ({ space }) => {
      const fault = new KeelsonError('CORRUPT', 'Said by the source.');
      const source = ReadableStream.from(
        (async function* () {
          yield some;
          throw fault;
        })(),
      );
      const error = await rejects('CORRUPT', () => space.put(source), 'A source that says CORRUPT');
      equal(error.message, fault.message, 'What it says');
    },
  ),
  promised(
    'put: what gives no bytes is refused',
    'put rejects with INVALID for a source, or a piece of one, that is not bytes.',
    async ({ space }) => {
      const texts = ReadableStream.from(['text']);
      for (const wrong of [
        'text',
        7,
        null,
        undefined,
        {},
        { path: 7 },
        new ArrayBuffer(8),
        texts,
      ]) {
        const source = wrong as ByteSource;
        await rejects('INVALID', () => space.put(source), `A source that is ${typeof wrong}`);
      }
      await rejects('INVALID', () => space.put({ path: tmpdir() }), 'A directory as source');
    },
  ),
  promised(
    'put: a file that is missing is NOT_FOUND',
    'put rejects with NOT_FOUND, naming the path, for a file that is not there.',
    async ({ space }) => {
      const path = join(tmpdir(), 'keelson-no-such-file', 'model.bin');
      await rejects('NOT_FOUND', () => space.put({ path }), 'A file that is missing', [path]);
    },
  ),
  promised(
    'put: nothing is visible before its end',
    'While the bytes are still coming, no method and no other handle sees anything of them.',
    async ({ space, reopen }) => {
      const [begun, rest] = [large.subarray(0, 1.5 * mebibyte), large.subarray(1.5 * mebibyte)];
      const upload = stalled(begun);
      const putting = space.put(upload.source);
      // Until somebody waits for it, its rejection must not count as unhandled.
      putting.catch(() => undefined);
      await upload.waiting;
      const digests = [large, begun, large.subarray(0, mebibyte)].map(sha256Of);
      await assertNothingThere(space, digests, 'Before the end');
      await assertNothingThere(
        (await reopen()).space('home'),
        digests,
        'Before the end, elsewhere',
      );
      upload.goOn(rest);
      const { sha256 } = await putting;
      ok((await space.find(sha256)) !== undefined, 'At the end find should see it');
    },
  ),
  promised(
    'put: can be aborted while it waits for the source',
    'put rejects with ABORTED soon after its signal is aborted, and stores nothing.',
    async ({ space }) => {
      const upload = stalled(some);
      const controller = new AbortController();
      const putting = space.put(upload.source, { signal: controller.signal });
      // Until somebody waits for it, its rejection must not count as unhandled.
      putting.catch(() => undefined);
      await upload.waiting;
      controller.abort(new Error('enough'));
      await rejects('ABORTED', () => putting, 'An upload whose source has stalled');
      await assertNothingThere(space, [someDigest], 'After the abortion');
    },
  ),
  promised(
    'put: does not begin once aborted',
    'put rejects with ABORTED, and stores nothing, when its signal is aborted already.',
    async ({ space }) => {
      const signal = AbortSignal.abort();
      await rejects('ABORTED', () => space.put(some, { signal }), 'A signal that is aborted');
      await assertNothingThere(space, [someDigest], 'After that');
    },
  ),
  promised(
    'put: tells how far it is',
    'onProgress is called with ascending numbers of bytes, the last of which is all of them.',
    async ({ space }) => {
      const told: number[] = [];
      await space.put(inPieces(large, 100_000), { onProgress: (bytes) => told.push(bytes) });
      equal(told.at(-1), large.length, 'The last number told');
      equal(
        told,
        [...told].sort((a, b) => a - b),
        'The numbers told',
      );
    },
  ),
  promised(
    'put: tells it some times a second only',
    'onProgress is called at most some times a second, however small the pieces are.',
    async ({ space }) => {
      let told = 0;
      const onProgress = (): void => {
        told += 1;
      };
      const startedAt = performance.now();
      await space.put(inPieces(large, 1_000), { onProgress });
      const most = 3 + ((performance.now() - startedAt) / 1000) * 20;
      ok(
        told <= most,
        `It was told ${told} times, and at most ${Math.round(most)} are some a second`,
      );
    },
  ),
  promised(
    'put: memory does not grow with the content',
    'An upload of any size needs a bounded amount of memory (64 MiB).',
    async ({ space }) => {
      const piece = new Uint8Array(mebibyte / 2);
      const before = usedBytes();
      let peakBytes = 0;
      async function* give(): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 2 * 96; i += 1) {
          yield piece.fill(i);
          if (i % 8 === 0) peakBytes = Math.max(peakBytes, usedBytes() - before);
        }
      }
      await space.put(give());
      const peak = Math.round(peakBytes / mebibyte);
      ok(peakBytes < 64 * mebibyte, `96 MiB took ${peak} MiB of memory`);
    },
  ),
  promised(
    'put: what it has acknowledged is there for others',
    'Once put has resolved, every other handle on the medium can read the content.',
    async ({ space, reopen }) => {
      const { sha256 } = await space.put(some);
      const elsewhere = (await reopen()).space('home');
      equal(await readAll(await elsewhere.open(sha256)), some, 'What another handle reads');
    },
  ),
];

async function* withEmptyPieces(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(0);
  for await (const piece of inPieces(some, 3_333)) {
    yield piece;
    yield new Uint8Array(0);
  }
}

/** What is held: garbage that waits to be collected, longer on a busy machine, is nobody's need. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('globalThis.gc') as () => void;
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
