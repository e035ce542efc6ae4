import { isKeelsonError } from '../../errors.ts';
import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  type ArtifactStoreHarness,
  bytesOf,
  mebibyte,
  promised,
  readAll,
  readUntilError,
  sha256Of,
} from './scene.ts';

const small = bytesOf(5_000, 3);
const large = bytesOf(3.25 * mebibyte, 4);
const absent = sha256Of(bytesOf(1, 5));

/** What `open` and `verify` promise. */
export const readCases: readonly Case<ArtifactStoreHarness>[] = [
  promised(
    'open: gives all bytes back',
    'The stream of a content gives its bytes, in order, and ends.',
    async ({ space }) => {
      for (const bytes of [small, large]) {
        const { sha256 } = await space.put(bytes);
        const read = await readAll(await space.open(sha256));
        ok(
          Buffer.compare(read, bytes) === 0,
          `${bytes.length} bytes should come back as they were`,
        );
      }
    },
  ),
  promised(
    'open: gives any range',
    'A range gives the bytes from its start, the end excluded, across chunks too.',
    async ({ space }) => {
      const { sha256 } = await space.put(large);
      const m = mebibyte;
      const size = large.length;
      const ranges = [
        [0, 1],
        [m - 1, m],
        [m, m + 1],
        [m - 3, 2 * m + 5],
        [m, 2 * m],
        [size - 1, size],
        [3 * m, undefined],
        [undefined, m + 7],
      ] as const;
      for (const [start, end] of ranges) {
        const range = {
          ...(start === undefined ? {} : { start }),
          ...(end === undefined ? {} : { end }),
        };
        const read = await readAll(await space.open(sha256, range));
        const expected = large.subarray(start, end);
        ok(
          Buffer.compare(read, expected) === 0,
          `The range ${start} to ${end} should be its bytes`,
        );
      }
    },
  ),
  promised(
    'open: an empty range is an empty stream',
    'A range whose start is its end gives no bytes, at the very end of the content too.',
    async ({ space }) => {
      const { sha256 } = await space.put(small);
      for (const at of [0, 17, small.length]) {
        const read = await readAll(await space.open(sha256, { start: at, end: at }));
        equal(read.length, 0, `How many bytes an empty range at ${at} has`);
      }
    },
  ),
  promised(
    'open: a range outside the content is refused',
    'open rejects with INVALID for a range that does not lie in the content, or is none.',
    async ({ space }) => {
      const { sha256 } = await space.put(small);
      const size = small.length;
      const wrong = [
        { start: -1 },
        { start: size + 1 },
        { end: size + 1 },
        { start: 10, end: 9 },
        { start: 0.5 },
        { end: Number.NaN },
      ];
      for (const range of wrong) {
        await rejects('INVALID', () => space.open(sha256, range), JSON.stringify(range));
      }
    },
  ),
  promised(
    'open: NOT_FOUND for what is not there',
    'open rejects with NOT_FOUND, naming the digest, for a content that is not there.',
    async ({ space }) => {
      await rejects('NOT_FOUND', () => space.open(absent), 'A content that is not there', [absent]);
    },
  ),
  promised(
    'open: damage is found before it is handed over',
    'The stream of a damaged content fails with CORRUPT before the last byte of the damaged chunk is handed over; what came before is right.',
    async ({ space, damage }) => {
      const cases = [
        [small, 0],
        [small, small.length - 1],
        [large, 5],
        [large, 1.5 * mebibyte],
        [large, large.length - 1],
      ] as const;
      for (const [bytes, offset] of cases) {
        const { sha256 } = await space.put(bytes);
        await damage('home', sha256, offset);
        const { received, error } = await readUntilError(await space.open(sha256));
        const what = `${bytes.length} bytes with damage at ${offset}`;
        ok(isKeelsonError(error, 'CORRUPT'), `${what} should fail with CORRUPT, not ${error}`);
        const chunkEnd = Math.min(bytes.length, (Math.floor(offset / mebibyte) + 1) * mebibyte);
        ok(received.length < chunkEnd, `${what}: the end of the chunk should not be handed over`);
        const good = received.subarray(0, offset);
        ok(Buffer.compare(good, bytes.subarray(0, good.length)) === 0, `${what}: what came before`);
      }
    },
  ),
  promised(
    'open: ranges are verified too',
    'A range over a damaged place fails with CORRUPT before the damaged part is handed over.',
    async ({ space, damage }) => {
      for (const [bytes, offset] of [
        [large, 1.5 * mebibyte],
        [small, 700],
      ] as const) {
        const { sha256 } = await space.put(bytes);
        await damage('home', sha256, offset);
        const range = { start: offset - 3, end: offset + 3 };
        const { received, error } = await readUntilError(await space.open(sha256, range));
        ok(
          isKeelsonError(error, 'CORRUPT'),
          `A damaged range should fail with CORRUPT, not ${error}`,
        );
        ok(received.length < 6, 'The damaged part should not be handed over');
      }
    },
  ),
  promised(
    'open: can be aborted',
    'A stream fails with ABORTED once its signal is aborted; an aborted signal opens nothing.',
    async ({ space }) => {
      const { sha256 } = await space.put(large);
      const controller = new AbortController();
      const reader = (await space.open(sha256, {}, controller.signal)).getReader();
      await reader.read();
      controller.abort();
      await rejects('ABORTED', () => reader.read(), 'Reading on after the signal');
      const aborted = controller.signal;
      await rejects('ABORTED', () => space.open(sha256, {}, aborted), 'Opening after the signal');
    },
  ),
  promised(
    'open: a stream may be given up',
    'A stream that is cancelled midway ends without an error, and the content can be opened again.',
    async ({ space }) => {
      const { sha256 } = await space.put(large);
      const reader = (await space.open(sha256)).getReader();
      await reader.read();
      await reader.cancel();
      const start = large.length - 9;
      const read = await readAll(await space.open(sha256, { start }));
      equal(read, large.subarray(start), 'What is read afterwards');
    },
  ),
  promised(
    'verify: answers for sound content',
    'verify resolves with digest and size of a content that matches its digest.',
    async ({ space }) => {
      const { sha256 } = await space.put(large);
      equal(await space.verify(sha256), { sha256, sizeBytes: large.length }, 'Sound content');
    },
  ),
  promised(
    'verify: CORRUPT for damaged content',
    'verify rejects with CORRUPT, naming the digest, wherever the damage is.',
    async ({ space, damage }) => {
      for (const [bytes, offset] of [
        [small, 1],
        [large, 0],
        [large, large.length - 1],
      ] as const) {
        const { sha256 } = await space.put(bytes);
        await damage('home', sha256, offset);
        await rejects('CORRUPT', () => space.verify(sha256), `Damage at ${offset}`, [sha256]);
      }
    },
  ),
  promised(
    'verify: NOT_FOUND for what is not there',
    'verify rejects with NOT_FOUND, naming the digest, for a content that is not there.',
    async ({ space }) => {
      await rejects('NOT_FOUND', () => space.verify(absent), 'A content that is not there', [
        absent,
      ]);
    },
  ),
];
