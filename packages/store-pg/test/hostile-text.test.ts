import type { Change, KindDeclaration, MetadataStore, Predicate, Selector } from '@keelson/core';
import { isKeelsonError } from '@keelson/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pgBackend } from '../src/index.ts';
import { hostileTexts } from './hostile-texts.ts';
import { describeOnPg } from './server/test-database.ts';
import { silentLogger } from './silent-logger.ts';

const kinds: readonly KindDeclaration[] = [
  {
    name: 'thing',
    columns: {
      name: { type: 'text', optional: true },
      code: { type: 'text', optional: true },
    },
    unique: [{ name: 'thing code', columns: ['code'] }],
    indexes: [['name']],
    facets: { params: { source: 'merged' } },
    history: 'kept',
    claimable: true,
  },
  {
    name: 'edge',
    columns: { from: { type: 'text' }, to: { type: 'text' }, role: { type: 'text' } },
    history: 'none',
  },
];

await describeOnPg('texts that look like SQL', ({ url, freshSchema, query }) => {
  const schema = freshSchema();
  let store: MetadataStore;
  beforeAll(async () => {
    store = await pgBackend({ url, schema }).openMetadata({ kinds, logger: silentLogger });
  });
  afterAll(() => store.close());

  /** What stands in the database besides rows. */
  const objects = async (): Promise<unknown> =>
    await query(
      `SELECT relname, relkind FROM pg_class WHERE relnamespace = $1::regnamespace ORDER BY relname`,
      [schema],
    );

  for (const text of hostileTexts) {
    test(JSON.stringify(text), async () => {
      const before = await objects();
      const workspace = `w ${text}`;
      const principal = text;
      const commit = (...changes: readonly Change[]): Promise<unknown> =>
        store.commit({ workspace, principal, reason: text, correlationId: text, changes });
      const event = {
        ...{ id: text, type: text, subject: text, source: text, at: 1, payload: { [text]: text } },
        ...{ schemaVersion: 1, correlationId: text, causationId: text, principal },
      };
      const columns = { name: text, code: text };
      const facets = { params: { [text]: text } };
      const body = { [text]: { [text]: text } };
      await commit(
        { op: 'create', kind: 'thing', id: text, columns, body, facets },
        { op: 'create', kind: 'edge', id: text, columns: { from: text, to: text, role: text } },
        { op: 'emit', event },
      );
      const found = await store.find(workspace, 'thing', text, { facets: ['params'] });
      expect(found).toMatchObject({ id: text, workspace, columns, body, facets });

      const places: readonly Selector[] = [
        { from: 'column', name: 'id' },
        { from: 'column', name: 'name' },
        { from: 'column', name: 'code' },
        { from: 'facet', facet: 'params', key: text },
        { from: 'body', path: [text, text] },
      ];
      for (const left of places) {
        for (const where of [
          { op: 'compare', left, cmp: '=', value: text },
          { op: 'in', left, values: [text, 'other'] },
          { op: 'between', left, low: text, high: text },
          { op: 'like', left, pattern: text, caseSensitive: true },
          { op: 'present', left },
        ] as readonly Predicate[]) {
          const orderBy = [{ by: left, direction: 'desc' }] as const;
          const page = await store.query(workspace, 'thing', { where, orderBy });
          expect(page.records.map(({ id }) => id)).toEqual([text]);
          const none = { op: 'compare', left, cmp: '=', value: `${text}x` } as const;
          expect((await store.count(workspace, 'thing', none)).count).toBe(0);
        }
      }

      const entries = await store.history(workspace, 'thing', text);
      expect(entries).toMatchObject([{ by: text, reason: text, correlationId: text, columns }]);
      const reach = await store.reach(workspace, [text], {
        ...{ direction: 'forward', depth: 2, limit: 10, roles: [text] },
      });
      expect(reach.edges).toEqual([{ from: text, to: text, role: text }]);
      const filter = { ids: [text], types: [text], subjects: [text], correlationId: text };
      const events = await store.readEvents({ workspace, filter, limit: 10 });
      expect(events.events).toMatchObject([event]);
      for (const name of ['ids', 'types', 'subjects'] as const) {
        const one = await store.readEvents({ workspace, filter: { [name]: [text] }, limit: 10 });
        expect(one.events).toMatchObject([event]);
        const none = { workspace, filter: { [name]: [`${text}x`] }, limit: 10 };
        expect((await store.readEvents(none)).events).toEqual([]);
      }

      const request = { workspace, limit: 5, owner: text, leaseMs: 60_000, takeFrom: [text] };
      const [claimed] = await store.claim('thing', { ...request, set: { name: text } });
      expect(claimed).toMatchObject({ owner: text, record: { id: text } });
      const key = { workspace, kind: 'thing', id: text, owner: text, fence: claimed?.fence ?? 0 };
      expect(await store.claimOwners('thing', workspace)).toEqual([text]);
      expect(await store.renew([key], 60_000)).toEqual([key]);
      await commit({ op: 'hold', ...key }, { op: 'merge', ...key, unset: { params: [text] } });
      await store.release([key]);

      const again = { op: 'create', kind: 'thing', id: `${text}2`, columns } as const;
      await expect(commit(again)).rejects.toMatchObject({
        code: 'CONFLICT',
        details: { id: `${text}2`, unique: 'thing code', takenBy: text },
      });
      await commit({ op: 'remove', kind: 'thing', id: text, expect: 1 });
      expect(await store.find(workspace, 'thing', text)).toBeUndefined();
      expect(await objects()).toEqual(before);
    });

    test(`${JSON.stringify(text)} where it is no value`, async () => {
      const acts: readonly (() => Promise<unknown>)[] = [
        () => store.find('w', text, 'a'),
        () => store.find('w', 'thing', 'a', { facets: [text] }),
        () => store.query('w', 'thing', { cursor: text }),
        () => store.query('w', 'thing', { limit: text as never }),
        () => store.readEvents({ after: text, limit: 1 }),
        () => store.readEvents({ limit: text as never }),
        () => store.commit({ workspace: 'w', principal: 'p', changes: [{ op: text } as never] }),
        () =>
          store.query('w', 'thing', {
            where: { op: 'present', left: { from: 'column', name: text } },
          }),
        () =>
          store.query('w', 'thing', {
            orderBy: [{ by: { from: 'column', name: 'name' }, direction: text as never }],
          }),
        () =>
          store.query('w', 'thing', {
            where: {
              op: 'compare',
              left: { from: 'column', name: 'name' },
              cmp: text as never,
              value: 'x',
            },
          }),
        async () => pgBackend({ url, schema: text }),
        ...declarations(text).map(
          (declared) => () =>
            pgBackend({ url, schema }).openMetadata({ kinds: [declared], logger: silentLogger }),
        ),
      ];
      for (const act of acts) {
        const error: unknown = await act().catch((fault: unknown) => fault);
        expect(isKeelsonError(error, 'INVALID'), `${String(act)} ${String(error)}`).toBe(true);
      }
    });
  }
});

/** Kinds that have the text where a name is declared. */
function declarations(text: string): readonly KindDeclaration[] {
  const kind = { name: 'other', columns: { name: { type: 'text' } }, history: 'none' } as const;
  return [
    { ...kind, name: text },
    { ...kind, columns: { [text]: { type: 'text' } } },
    { ...kind, columns: { name: { type: text as never } } },
    { ...kind, indexes: [[text]] },
    { ...kind, unique: [{ name: 'u', columns: [text] }] },
    { ...kind, facets: { [text]: { source: 'merged' } } },
    { ...kind, facets: { params: { source: text as never } } },
    { ...kind, history: text as never },
  ];
}
