import { setTimeout as rest } from 'node:timers/promises';
import type { ArtifactSpace } from '../../contracts/artifact-store.ts';
import { BrokenPromise, equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  type ArtifactScene,
  type ArtifactStoreHarness,
  assertNothingThere,
  bytesOf,
  listAll,
  mebibyte,
  promised,
  readAll,
  sha256Of,
  stalled,
} from './scene.ts';

const some = bytesOf(2_000, 6);
const digest = sha256Of(some);

// What a careless adapter would turn into one name, a parent directory or an option.
const hostileNames = [
  'a/b',
  'a\\b',
  'a_b',
  'A_b',
  'a b',
  '..',
  '../home',
  './home',
  'home/',
  'home/../home',
  '/etc',
  'con',
  '-rf',
  '%2e%2e',
  '*',
  "'; drop table x",
  'é',
  'e\u0301',
  '😀',
  '__proto__',
  'constructor',
  'x'.repeat(255),
];

/** What find, remove, list, the spaces and the store as a whole promise. */
export const spaceCases: readonly Case<ArtifactStoreHarness>[] = [
  promised(
    'find: answers size, or undefined',
    'find resolves with digest and size of what is there, and with undefined for what is not.',
    async ({ space }) => {
      equal(await space.find(digest), undefined, 'Before it is there');
      await space.put(some);
      equal(await space.find(digest), { sha256: digest, sizeBytes: some.length }, 'Afterwards');
    },
  ),
  promised(
    'remove: what is removed is gone',
    'After remove no method sees the content; it can be put again.',
    async ({ space }) => {
      await space.put(some);
      await space.remove(digest);
      await assertNothingThere(space, [digest], 'After the removal');
      await space.put(some);
      equal(await readAll(await space.open(digest)), some, 'Put again');
    },
  ),
  promised(
    'remove: what is not there is no error',
    'Removing a content that is not there succeeds.',
    async ({ space }) => {
      await space.remove(digest);
      await space.put(some);
      await space.remove(digest);
      await space.remove(digest);
    },
  ),
  promised(
    'remove: says whether it removed anything',
    'remove answers true where there was content, false where there was none.',
    async ({ space }) => {
      const bytes = bytesOf(2_001, 61);
      equal(await space.remove(sha256Of(bytes)), false, 'Of what is not there');
      await space.put(bytes);
      equal(await space.remove(sha256Of(bytes)), true, 'Of what is there');
    },
  ),
  promised(
    'remove: with storedBefore, only older content goes',
    'Content that was last put at storedBefore or later stays; what was put before goes.',
    async (scene) => {
      const { space } = scene;
      const { sha256 } = await space.put(bytesOf(2_002, 62));
      const storedAt = await storedAtOf(space, sha256);
      equal(await space.remove(sha256, { storedBefore: storedAt }), false, 'At its own time');
      ok((await space.find(sha256)) !== undefined, 'It should still be there');
      const later = await clockPast(scene, storedAt);
      equal(await space.remove(sha256, { storedBefore: later }), true, 'Later');
      await assertGone(space, sha256);
    },
  ),
  promised(
    'remove: content put again is as new',
    'Putting content again protects it from removal by storedBefore.',
    async (scene) => {
      const { space } = scene;
      for (const bytes of [bytesOf(2_003, 63), bytesOf(1.5 * mebibyte, 63)]) {
        const { sha256 } = await space.put(bytes);
        const later = await clockPast(scene, await storedAtOf(space, sha256));
        await space.put(bytes);
        equal(await space.remove(sha256, { storedBefore: later }), false, 'What it answers');
        equal(sha256Of(await readAll(await space.open(sha256))), sha256, 'What is there');
      }
    },
  ),
  promised(
    'keep: answers whether the content is there',
    'keep answers true for content that is there, false for what is not.',
    async ({ space }) => {
      const bytes = bytesOf(2_004, 64);
      equal(await space.keep(sha256Of(bytes)), false, 'Before it is there');
      await space.put(bytes);
      equal(await space.keep(sha256Of(bytes)), true, 'Afterwards');
      await assertSound(space, bytes);
    },
  ),
  promised(
    'keep: what is kept is as new',
    'Keeping content protects it from removal by storedBefore.',
    async (scene) => {
      const { space } = scene;
      const other = (await scene.reopen()).space('home');
      for (const bytes of [bytesOf(2_005, 65), bytesOf(1.5 * mebibyte, 65)]) {
        const { sha256 } = await space.put(bytes);
        const later = await clockPast(scene, await storedAtOf(space, sha256));
        await other.keep(sha256);
        equal(await space.remove(sha256, { storedBefore: later }), false, 'What it answers');
        await assertSound(space, bytes);
      }
    },
  ),
  promised(
    'remove: a put at the same time wins',
    'A removal by storedBefore never undoes a put, or a keep that answered true, that races with it.',
    async (scene) => {
      const { space } = scene;
      const other = (await scene.reopen()).space('home');
      const contents = [100, 5_000, 1.25 * mebibyte].flatMap((size) =>
        [1, 2, 3].map((seed) => bytesOf(size + seed, 660 + seed)),
      );
      for (const bytes of contents) await space.put(bytes);
      const last = await storedAtOf(space, sha256Of(contents.at(-1) as Uint8Array));
      const storedBefore = await clockPast(scene, last);
      for (const [index, bytes] of contents.entries()) {
        const sha256 = sha256Of(bytes);
        const [kept] = await Promise.all([
          index % 3 === 0 ? space.keep(sha256) : space.put(bytes).then(() => true),
          other.remove(sha256, { storedBefore }),
          space.remove(sha256, { storedBefore }),
        ]);
        if (kept) await assertSound(space, bytes);
      }
    },
  ),
  promised(
    'list: shows everything by digest',
    'list gives digest and size of every content, by digest ascending.',
    async ({ space }) => {
      const expected: { sha256: string; sizeBytes: number }[] = [];
      for (let i = 0; i < 12; i += 1) {
        const bytes = bytesOf(100 + i, 100 + i);
        expected.push({ sha256: sha256Of(bytes), sizeBytes: bytes.length });
        await space.put(bytes);
      }
      expected.sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
      const listed = await listAll(space);
      const shown = listed.map(({ sha256, sizeBytes }) => ({ sha256, sizeBytes }));
      equal(shown, expected, 'What is listed');
    },
  ),
  promised(
    'list: goes on after a digest',
    'With `after`, list gives what comes behind that digest, whether it is there or not.',
    async ({ space }) => {
      const digests = await putMany(space, 10);
      for (const at of [0, 5, 9]) {
        const after = digests[at] ?? '';
        equal(await listed({ after }), digests.slice(at + 1), `Behind number ${at}`);
      }
      equal(await listed({ after: '0'.repeat(64) }), digests, 'Behind a digest that is not there');
      async function listed(options: { readonly after: string }): Promise<readonly string[]> {
        return (await listAll(space, options)).map((entry) => entry.sha256);
      }
    },
  ),
  promised(
    'list: by prefix',
    'With `prefix`, list gives the contents whose digest begins so; INVALID for what begins none.',
    async ({ space }) => {
      const digests = await putMany(space, 10);
      const first = digests[0] ?? '';
      for (const prefix of ['', first.slice(0, 1), first.slice(0, 2), first.slice(0, 9), first]) {
        const found = (await listAll(space, { prefix })).map((entry) => entry.sha256);
        equal(
          found,
          digests.filter((sha256) => sha256.startsWith(prefix)),
          `Those with ${prefix}`,
        );
      }
      for (const prefix of ['..', 'A', '/', `${first}0`]) {
        await rejects('INVALID', () => listAll(space, { prefix }), `The prefix ${prefix}`);
      }
    },
  ),
  promised(
    'list: says when a content was stored',
    'storedAt is the time of the put, in whole epoch ms by the clock of the medium.',
    async ({ space }) => {
      const before = Date.now();
      await space.put(some);
      const [entry] = await listAll(space);
      const storedAt = entry?.storedAt ?? Number.NaN;
      const toleranceMs = 60_000;
      ok(Number.isSafeInteger(storedAt), `storedAt should be whole ms, not ${storedAt}`);
      ok(
        storedAt > before - toleranceMs && storedAt < Date.now() + toleranceMs,
        `storedAt should be about now, not ${storedAt}`,
      );
    },
  ),
  promised(
    'digests: what is none is refused',
    'Every method refuses, as INVALID, what is no lower-case hex SHA-256.',
    async ({ space }) => {
      const upper = digest.toUpperCase();
      const wrong = ['', 'abc', '../../etc/passwd', 'g'.repeat(64), upper, `${digest}0`];
      for (const sha256 of wrong) {
        await rejects('INVALID', () => space.find(sha256), `find of ${sha256}`);
        await rejects('INVALID', () => space.open(sha256), `open of ${sha256}`);
        await rejects('INVALID', () => space.verify(sha256), `verify of ${sha256}`);
        await rejects('INVALID', () => space.remove(sha256), `remove of ${sha256}`);
        await rejects('INVALID', () => space.keep(sha256), `keep of ${sha256}`);
        await rejects('INVALID', () => listAll(space, { after: sha256 }), `list after ${sha256}`);
        await rejects('INVALID', () => space.put(some, { sha256 }), `put with ${sha256}`);
      }
    },
  ),
  promised(
    'spaces: see nothing of each other',
    'What is in the space of one workspace no method of another sees.',
    async ({ store, space }) => {
      await space.put(some);
      await assertNothingThere(store.space('elsewhere'), [digest], 'In another workspace');
    },
  ),
  promised(
    'spaces: removing in one leaves the others',
    'remove takes a content out of its own workspace only.',
    async ({ store, space }) => {
      const other = store.space('elsewhere');
      await space.put(some);
      await other.put(some);
      await other.remove(digest);
      equal(await readAll(await space.open(digest)), some, 'What is still in the first one');
    },
  ),
  promised(
    'spaces: hostile names stay apart',
    'Any text of 1 to 255 characters is a workspace of its own.',
    async ({ store, space }) => {
      const own = (i: number): Uint8Array => bytesOf(64, 1_000 + i);
      await space.put(some);
      for (const [i, name] of hostileNames.entries()) await store.space(name).put(own(i));
      for (const [i, name] of hostileNames.entries()) {
        const listed = (await listAll(store.space(name))).map((entry) => entry.sha256);
        equal(listed, [sha256Of(own(i))], `What the workspace ${JSON.stringify(name)} holds`);
      }
      equal((await listAll(space)).length, 1, 'What the workspace home holds');
    },
  ),
  promised(
    'spaces: names that no store can keep are refused',
    'space throws INVALID for an empty name, U+0000, a lone surrogate, more than 255 characters.',
    async ({ store }) => {
      for (const name of ['', 'a\u0000b', '\ud800', 'x'.repeat(256)]) {
        await rejects('INVALID', () => store.space(name), `The name ${JSON.stringify(name)}`);
      }
    },
  ),
  promised(
    'leftovers: stored contents and running uploads are none',
    'collectLeftovers answers how many it removed, and leaves contents and running uploads alone.',
    async ({ store, space, reopen }) => {
      const other = await reopen();
      await space.put(some);
      const upload = stalled(some.subarray(0, 1_000));
      const putting = space.put(upload.source);
      // Until somebody waits for it, its rejection must not count as unhandled.
      putting.catch(() => undefined);
      await upload.waiting;
      equal(await store.collectLeftovers(0), 0, 'How many it removed');
      equal(await other.collectLeftovers(0), 0, 'How many another handle removed');
      upload.goOn(bytesOf(9, 7));
      const { sha256 } = await putting;
      await space.verify(sha256);
      await space.verify(digest);
    },
  ),
  promised(
    'uri: names each content of each workspace',
    'uri gives another text for each workspace and digest, and the same one each time.',
    ({ store }) => {
      const other = sha256Of(bytesOf(1, 8));
      const uris = [
        store.uri('home', digest),
        store.uri('home', other),
        store.uri('elsewhere', digest),
      ];
      equal(new Set(uris).size, 3, `How many different ones there are of ${uris.join(', ')}`);
      equal(store.uri('home', digest), uris[0], 'Asked again');
      return Promise.resolve();
    },
  ),
  promised(
    'close: everything is refused afterwards',
    'After close every method rejects with CLOSED.',
    async ({ store, space }) => {
      await space.put(some);
      await store.close();
      await rejects('CLOSED', () => space.put(some), 'put');
      await rejects('CLOSED', () => space.open(digest), 'open');
      await rejects('CLOSED', () => space.find(digest), 'find');
      await rejects('CLOSED', () => space.verify(digest), 'verify');
      await rejects('CLOSED', () => space.remove(digest), 'remove');
      await rejects('CLOSED', () => space.keep(digest), 'keep');
      await rejects('CLOSED', () => listAll(space), 'list');
      await rejects('CLOSED', () => store.collectLeftovers(0), 'collectLeftovers');
    },
  ),
  promised(
    'close: twice is fine',
    'close may be called again, and at the same time.',
    async ({ store }) => {
      await Promise.all([store.close(), store.close()]);
      await store.close();
    },
  ),
  promised(
    'close: ends uploads that are going on',
    'close ends uploads that are going on with CLOSED; nothing of them is visible.',
    async ({ store, space, reopen }) => {
      const upload = stalled(some);
      const putting = space.put(upload.source);
      // Until somebody waits for it, its rejection must not count as unhandled.
      putting.catch(() => undefined);
      await upload.waiting;
      await store.close();
      await rejects('CLOSED', () => putting, 'The upload');
      await assertNothingThere((await reopen()).space('home'), [digest], 'After the close');
    },
  ),
];

async function putMany(
  space: { put(bytes: Uint8Array): Promise<unknown> },
  count: number,
): Promise<readonly string[]> {
  const all = Array.from({ length: count }, (_, i) => bytesOf(50, 2_000 + i));
  for (const bytes of all) await space.put(bytes);
  return all.map(sha256Of).toSorted();
}

async function storedAtOf(space: ArtifactSpace, sha256: string): Promise<number> {
  const [entry] = await listAll(space, { prefix: sha256 });
  return entry?.storedAt ?? Number.NaN;
}

/** A time of the medium's clock that is behind `at` by more than a step of that clock. */
async function clockPast({ space, clockStepMs = 1 }: ArtifactScene, at: number): Promise<number> {
  for (let seed = 1; seed <= 1_000; seed += 1) {
    const { sha256 } = await space.put(bytesOf(40, 70_000 + seed));
    const now = await storedAtOf(space, sha256);
    if (now >= at + 2 * clockStepMs) return now;
    await rest(Math.min(50, clockStepMs));
  }
  throw new BrokenPromise('storedAt should move on', `more than ${at}`, 'no later time');
}

async function assertGone(space: ArtifactSpace, sha256: string): Promise<void> {
  equal(await space.find(sha256), undefined, 'find should see nothing');
  await rejects('NOT_FOUND', () => space.open(sha256), 'open should see nothing');
}

async function assertSound(space: ArtifactSpace, bytes: Uint8Array): Promise<void> {
  const sha256 = sha256Of(bytes);
  equal(sha256Of(await readAll(await space.open(sha256))), sha256, 'What is there');
}
