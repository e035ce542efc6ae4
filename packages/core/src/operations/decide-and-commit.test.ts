import { describe, expect, onTestFinished, test } from 'vitest';
import { eventTestKinds } from '../../test/children/event-test-kinds.ts';
import { openTestScope } from '../../test/open-test-scope.ts';
import type { Scope } from '../contracts/scope.ts';
import { withCorrelation } from '../events/correlation.ts';
import { draftEvent } from '../events/draft-event.ts';
import { assertAllowed, commitChanges, decideAndCommit } from './decide-and-commit.ts';
import { withExpectedRevision } from './expected-revision.ts';

async function openScope(): Promise<Scope> {
  const opened = await openTestScope({ kinds: eventTestKinds });
  onTestFinished(() => opened[Symbol.asyncDispose]());
  await opened.scope.metadata.commit({
    workspace: 'default',
    principal: 'test',
    changes: [{ op: 'create', kind: 'tally', id: 't', columns: { count: 0 } }],
  });
  return opened.scope;
}

const count = async ({ metadata }: Scope): Promise<unknown> =>
  (await metadata.find('default', 'tally', 't'))?.columns['count'];

/** Reads, decides, writes: the count is one more. */
function addOne(scope: Scope, between: () => Promise<unknown> = async () => undefined) {
  return decideAndCommit(scope, async () => {
    const record = await scope.metadata.find('default', 'tally', 't');
    if (record === undefined) throw new Error('no tally');
    const next = (record.columns['count'] as number) + 1;
    await between();
    return {
      changes: [
        {
          op: 'replace',
          kind: 'tally',
          id: 't',
          expect: record.revision,
          columns: { count: next },
        },
      ],
      result: ({ revisions }) => [next, revisions[0]],
    };
  });
}

describe('decideAndCommit', () => {
  test('on STALE it reads and decides again: no change is lost among twenty', async () => {
    const scope = await openScope();
    const results = await Promise.all(Array.from({ length: 20 }, () => addOne(scope)));
    expect(await count(scope)).toBe(20);
    expect(results.map(([next]) => next).sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    for (const [next, revision] of results) expect(revision).toBe(Number(next) + 1);
  });

  test('what can never be decided is STALE in the end', async () => {
    const scope = await openScope();
    let decisions = 0;
    const never = decideAndCommit(scope, async () => {
      decisions += 1;
      return {
        changes: [{ op: 'assert', kind: 'tally', id: 't', expect: 99 }],
        result: undefined,
      };
    });
    await expect(never).rejects.toMatchObject({
      code: 'STALE',
      details: { kind: 'tally', id: 't' },
    });
    expect(decisions).toBe(30);
  });

  test('what the decision throws, and other refusals, come out at once', async () => {
    const scope = await openScope();
    let decisions = 0;
    await expect(
      decideAndCommit(scope, async () => {
        decisions += 1;
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    const create = { op: 'create', kind: 'tally', id: 't', columns: { count: 0 } } as const;
    await expect(
      decideAndCommit(scope, async () => {
        decisions += 1;
        return { changes: [create], result: undefined };
      }),
    ).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(decisions).toBe(2);
  });

  test('a decision without changes commits nothing', async () => {
    const scope = await openScope();
    const before = await scope.metadata.latestEventCursor();
    expect(await decideAndCommit(scope, async () => ({ changes: [], result: 'same' }))).toBe(
      'same',
    );
    expect(await commitChanges(scope, [])).toEqual({ at: 0, revisions: [] });
    expect(await scope.metadata.latestEventCursor()).toBe(before);
  });
});

describe('commitChanges', () => {
  test('commits under the correlation in force', async () => {
    const scope = await openScope();
    await withCorrelation({ correlationId: 'c' }, () =>
      commitChanges(scope, [
        {
          op: 'emit',
          event: draftEvent(scope, { type: 'a.done', subject: 's', source: 'x', payload: {} }),
        },
      ]),
    );
    const { events } = await scope.metadata.readEvents({ workspace: 'default', limit: 10 });
    expect(events.map((event) => event.correlationId)).toEqual(['c']);
  });
});

describe('assertAllowed', () => {
  test('asks for principal, workspace, action and resource, and gives the reason', async () => {
    const scope = await openScope();
    const asked: unknown[] = [];
    const authorizer = {
      authorize: async (request: unknown) => {
        asked.push(request);
        return { allowed: asked.length === 1, reason: 'because' };
      },
    };
    await assertAllowed({ ...scope, authorizer }, 'run.create', 'experiment:x');
    await expect(
      assertAllowed({ ...scope, authorizer }, 'run.create', 'experiment:x'),
    ).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: 'user:test may not run.create experiment:x: because.',
      details: { principal: 'user:test', action: 'run.create', resource: 'experiment:x' },
    });
    expect(asked[0]).toEqual({
      principal: scope.principal,
      workspace: 'default',
      action: 'run.create',
      resource: 'experiment:x',
    });
  });
});

describe('withExpectedRevision', () => {
  const expected = (revision: number) => ({ kind: 'tally', id: 't', revision });
  const change = (scope: Scope) => addOne(scope);

  test('holds at the commit: what is changed between reading and writing is told, and nothing is retried', async () => {
    const scope = await openScope();
    let decisions = 0;
    const work = withExpectedRevision(expected(1), () =>
      addOne(scope, async () => {
        decisions += 1;
        const other = { ...scope, principal: { id: 'user:other', roles: [] } };
        await scope.metadata.commit({
          ...{ workspace: 'default', principal: other.principal.id },
          changes: [{ op: 'replace', kind: 'tally', id: 't', expect: 1, columns: { count: 7 } }],
        });
      }),
    );
    await expect(work).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { kind: 'tally', id: 't', revision: 2 },
    });
    expect([decisions, await count(scope)]).toEqual([1, 7]);
  });

  test('is met by the first change: what follows in the same work goes on', async () => {
    const scope = await openScope();
    await withExpectedRevision(expected(1), async () => {
      await change(scope);
      await change(scope);
    });
    expect(await count(scope)).toBe(2);
  });

  test('holds for commits that do not touch the record, too', async () => {
    const scope = await openScope();
    const other = () =>
      commitChanges(scope, [
        { op: 'create', kind: 'tally', id: crypto.randomUUID(), columns: { count: 1 } },
      ]);
    await withExpectedRevision(expected(1), other);
    await expect(withExpectedRevision(expected(9), other)).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect((await scope.metadata.count('default', 'tally', undefined)).count).toBe(2);
  });
});
