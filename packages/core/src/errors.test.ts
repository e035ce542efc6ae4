import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../test/open-test-platform.ts';
import { openTestScope } from '../test/open-test-scope.ts';
import { eventKinds } from './contracts/kinds/event-kinds.ts';
import { trackingKinds } from './contracts/kinds/tracking-kinds.ts';
import type { Change } from './contracts/metadata-store.ts';
import { openStores } from './embedded/open-stores.ts';
import { type ErrorCode, errorCodes, isKeelsonError, KeelsonError } from './errors.ts';
import { decodeJson } from './json.ts';
import { openPlatform } from './open-platform.ts';

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.split('\n', 1)[0] ?? '', text]),
);
const quick = { experiment: 'weather', environment: false } as const;

describe('KeelsonError', () => {
  test('has code, class, details, cause, and a form for wires', () => {
    const cause = new Error('below');
    const error = new KeelsonError('STALE', 'Read again.', { cause, details: { id: 'r' } });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code: 'STALE', class: 'conflict', details: { id: 'r' }, cause });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'STALE',
      message: 'Read again.',
      details: { id: 'r' },
    });
    expect('cause' in new KeelsonError('INVALID', 'x')).toBe(false);
    expect(String(error)).toBe('KeelsonError: Read again.');
  });

  test('is known across duplicate installs, and by its code', async () => {
    const error = new KeelsonError('STALE', 'x');
    expect(isKeelsonError(error)).toBe(true);
    expect(isKeelsonError(error, 'STALE', 'CONFLICT')).toBe(true);
    expect(isKeelsonError(error, 'CONFLICT')).toBe(false);
    for (const other of [undefined, null, 'STALE', new Error('x'), { code: 'STALE' }]) {
      expect(isKeelsonError(other)).toBe(false);
    }
    const copy = (await import(
      /* @vite-ignore */ `${import.meta.resolve('./errors.ts')}?copy`
    )) as {
      readonly KeelsonError: typeof KeelsonError;
    };
    expect(copy.KeelsonError).not.toBe(KeelsonError);
    expect(isKeelsonError(new copy.KeelsonError('LOST', 'x'), 'LOST')).toBe(true);
  });
});

describe('docs/errors.md', () => {
  test('explains each code, and no other, in the order of the list', () => {
    expect([...sections.keys()]).toEqual([...errorCodes]);
  });

  test.each([...errorCodes])('%s: class, meaning, occasion, remedy and example', (code) => {
    const section = sections.get(code) ?? '';
    expect(section).toContain(`\nClass: \`${new KeelsonError(code, 'x').class}\`\n`);
    for (const part of ['**Means** ', '**When** ', '**What to do** ']) {
      expect(section.split(part)[1]?.trim().length ?? 0).toBeGreaterThan(20);
    }
    expect(examplesOf(code).length).toBeGreaterThan(0);
  });

  test('every code has a class of the table', () => {
    for (const code of errorCodes) {
      expect(page).toContain(`| \`${new KeelsonError(code, 'x').class}\` |`);
    }
  });
});

/** The messages in the example of a code: `…` stands for anything. */
function examplesOf(code: ErrorCode): RegExp[] {
  const lines = (sections.get(code) ?? '').match(new RegExp(`^// ${code} .*$`, 'gm')) ?? [];
  return lines.map((line) => {
    const parts = line.slice(`// ${code} `.length).split('…');
    return new RegExp(
      `^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`,
      's',
    );
  });
}

const deny = { allowed: false, reason: 'only trainers may' };
const refusing = (system: string) => ({
  type: () => Promise.reject(Object.assign(new Error(system), { code: system, syscall: 'statfs' })),
  mountType: async () => undefined,
});

/** A commit that goes wrong, on records of a run and of a subscription. */
async function commitTwice(change: (id: string) => Change): Promise<void> {
  await using opened = await openTestScope({ kinds: [...trackingKinds, ...eventKinds] });
  const commit = (...changes: Change[]) =>
    opened.scope.metadata.commit({ workspace: 'w', principal: 'p', changes });
  const columns = {
    experimentId: 'e',
    name: 'n',
    status: 'RUNNING',
    startedAt: 0,
    sourceType: 'SCRIPT',
    userId: 'user:ana',
    lifecycle: 'active',
  };
  await commit({ op: 'create', kind: 'run', id: 'r', columns });
  await commit({ op: 'replace', kind: 'run', id: 'r', expect: 1, columns: { name: 'm' } });
  await commit({
    op: 'create',
    kind: 'subscription_partition',
    id: 's',
    columns: { subscription: 's', number: 0, dirty: false, careful: 0, crashes: 0 },
  });
  await commit(change('r'));
}

/** How each code comes about, as the page says. */
const provocations: Readonly<Record<Exclude<ErrorCode, 'INTERNAL'>, (() => unknown)[]>> = {
  INVALID: [
    async () => {
      const { platform } = await openTestPlatform();
      const run = await platform.tracking.startRun(quick);
      run.logMetric('loss', '0.3' as unknown as number);
    },
    () => openPlatform({ directory: '.keelson' } as object),
  ],
  SYNTAX: [
    async () => {
      const { platform } = await openTestPlatform();
      await platform.tracking.searchRuns({ filter: "metrics.loss > AND params.a = 'x'" });
    },
  ],
  NOT_FOUND: [async () => (await openTestPlatform()).platform.tracking.getRun('none')],
  CONFLICT: [
    async () => {
      const { tracking } = (await openTestPlatform()).platform;
      await tracking.createExperiment({ name: 'weather' });
      await tracking.createExperiment({ name: 'weather' });
    },
  ],
  STALE: [
    () =>
      commitTwice((id) => ({ op: 'replace', kind: 'run', id, expect: 1, columns: { name: 'x' } })),
  ],
  LOST: [
    () =>
      commitTwice(() => ({
        op: 'hold',
        kind: 'subscription_partition',
        id: 's',
        owner: 'me',
        fence: 7,
      })),
  ],
  IMMUTABLE: [
    () =>
      commitTwice((id) => ({
        op: 'replace',
        kind: 'run',
        id,
        expect: 2,
        columns: { userId: 'user:eve' },
      })),
  ],
  FORBIDDEN: [
    async () => {
      const { platform } = await openTestPlatform({ authorizer: { authorize: async () => deny } });
      const bob = platform.as({ principal: { id: 'user:bob', roles: [] } });
      await bob.tracking.startRun(quick);
    },
  ],
  CORRUPT: [() => decodeJson('{"a":')],
  CLOSED: [
    async () => {
      const { platform } = await openTestPlatform();
      const run = await platform.tracking.startRun(quick);
      await platform.close();
      run.logMetric('loss', 0.3);
    },
  ],
  ABORTED: [
    async () => {
      const { platform } = await openTestPlatform();
      const signal = AbortSignal.abort();
      await platform.tracking.withRun({ ...quick, signal }, () => undefined);
    },
  ],
  TIMEOUT: [() => settle(() => new Promise(() => undefined), 100)],
  UNAVAILABLE: [
    async () => {
      const dir = await temporaryDirectory();
      await openStores({ dir, kinds: [], fileSystem: refusing('EACCES') });
    },
  ],
  EXHAUSTED: [
    async () => {
      const dir = await temporaryDirectory();
      await openStores({ dir, kinds: [], fileSystem: refusing('ENOSPC') });
    },
  ],
  UNSUPPORTED: [
    async () => {
      const dir = await temporaryDirectory();
      const nfs = { type: async () => 0x6969, mountType: async () => undefined };
      await openStores({ dir, kinds: [], fileSystem: nfs });
    },
  ],
  INCOMPATIBLE: [
    async () => {
      const { platform, dir } = await openTestPlatform();
      await platform.close();
      await writeFile(join(dir, 'format'), '2\n');
      await openPlatform({ dir });
    },
  ],
  FAILED: [() => settle(() => Promise.reject(new Error('no such model')), 10_000)],
};

/** Waits for a subscription whose handler does this. */
async function settle(handler: () => Promise<void>, timeoutMs: number): Promise<void> {
  const { platform } = await openTestPlatform();
  const { events, tracking } = platform;
  await events.subscribe('retrain', { types: ['run.started'], maxAttempts: 1 }, handler);
  await tracking.startRun(quick);
  const [event] = await Array.fromAsync(events.each());
  await events.settled(event?.id ?? '', { timeoutMs });
}

describe('the examples of the page', () => {
  test.each(Object.entries(provocations))('%s', async (code, provoke) => {
    const examples = examplesOf(code as ErrorCode);
    expect(examples).toHaveLength(provoke.length);
    for (const [i, call] of provoke.entries()) {
      const error: unknown = await (async () => call())().then(
        () => undefined,
        (fault: unknown) => fault,
      );
      expect(error).toMatchObject({ code });
      expect((error as Error).message).toMatch(examples[i] as RegExp);
    }
  });
});

test('a message that carries a megabyte is cut in its middle', () => {
  const { message } = new KeelsonError('INVALID', `No ${'y'.repeat(1_000_000)} here; do that.`);
  expect(message.length).toBeLessThan(4_100);
  expect(message).toMatch(/^No y+ … \(\d+ characters\) … y+ here; do that\.$/);
});
