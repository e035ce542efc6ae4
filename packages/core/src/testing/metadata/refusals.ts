import type { Change, MetadataStore } from '../../contracts/metadata-store.ts';
import { equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  emit,
  home,
  item,
  job,
  type MetadataStoreHarness,
  note,
  promised,
  write,
} from './scene.ts';

/** What is tried, what the refusal must name, and the attempt. */
export type Act = readonly [what: string, naming: string, act: () => unknown];

/** Each must be INVALID and name its place; afterwards nothing is there. */
export async function allInvalid(store: MetadataStore, acts: readonly Act[]): Promise<void> {
  for (const [what, naming, act] of acts) {
    await rejects('INVALID', act, `${what} should be refused`, naming === '' ? [] : [naming]);
  }
  const { count } = await store.count(home, 'item', undefined, { exact: true });
  equal(count, 0, 'Nothing should have been made of what was refused');
}

const replace = (parts: object): Change =>
  ({ op: 'replace', kind: 'item', id: 'a', expect: 1, ...parts }) as Change;

/** The texts that no store can keep. */
const unfit = ['with \u0000 in it', 'lone \ud800', '\udc00 lone'];

/** What is INVALID, and that the refusal names the place. */
export const refusalCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'refusals: an undeclared kind is INVALID',
    'Every method that takes a kind rejects with INVALID, naming it, where it is not declared.',
    async ({ store }) => {
      const claim = { limit: 1, owner: 'one', leaseMs: 1_000 };
      const kind = 'unheard_of';
      const change = { kind, id: 'a' };
      await allInvalid(store, [
        ['find', kind, () => store.find(home, kind, 'a')],
        ['findMany', kind, () => store.findMany(home, kind, ['a'])],
        ['query', kind, () => store.query(home, kind, {})],
        ['count', kind, () => store.count(home, kind, undefined)],
        ['history', kind, () => store.history(home, kind, 'a')],
        ['claim', kind, () => store.claim(kind, claim)],
        ['claimOwners', kind, () => store.claimOwners(kind)],
        ['create', kind, () => write(store, item('a'), { op: 'create', columns: {}, ...change })],
        ['replace', kind, () => write(store, { op: 'replace', expect: 1, ...change })],
        ['merge', kind, () => write(store, { op: 'merge', ...change })],
        ['remove', kind, () => write(store, { op: 'remove', expect: 1, ...change })],
        ['assert', kind, () => write(store, { op: 'assert', expect: 'absent', ...change })],
        ['adjust', kind, () => write(store, { op: 'adjust', column: 'c', by: 1, ...change })],
        ['hold', kind, () => write(store, { op: 'hold', owner: 'one', fence: 1, ...change })],
        ['__proto__', '__proto__', () => store.find(home, '__proto__', 'a')],
      ]);
    },
  ),
  promised(
    'refusals: an undeclared column is INVALID in what is written',
    'create, replace, adjust and claim reject with INVALID, naming the column.',
    async ({ store, leaseMs }) => {
      await write(store, job('j'), note('a'));
      const set = { colour: 'red' };
      const onNote = { kind: 'note', id: 'a' } as const;
      await allInvalid(store, [
        ['create', 'colour', () => write(store, item('a', set))],
        [
          'create of constructor',
          'constructor',
          () => write(store, item('a', { constructor: 'x' })),
        ],
        [
          'replace',
          'colour',
          () => write(store, { op: 'replace', expect: 1, ...onNote, columns: set }),
        ],
        [
          'adjust',
          'colour',
          () => write(store, { op: 'adjust', ...onNote, column: 'colour', by: 1 }),
        ],
        ['claim', 'colour', () => store.claim('job', { limit: 1, owner: 'one', leaseMs, set })],
      ]);
    },
  ),
  promised(
    'refusals: an undeclared facet is INVALID',
    'create, merge, find, findMany and query reject with INVALID, naming the facet.',
    async ({ store }) => {
      await write(store, note('a'));
      const facets = ['moods'];
      const moods = { moods: { good: 1 } };
      const merge = { op: 'merge', kind: 'note', id: 'a' } as const;
      await allInvalid(store, [
        ['create', 'moods', () => write(store, item('b', {}, { facets: moods }))],
        ['merge', 'moods', () => write(store, { ...merge, set: moods })],
        ['merge to unset', 'moods', () => write(store, { ...merge, unset: { moods: ['good'] } })],
        ['find', 'moods', () => store.find(home, 'item', 'a', { facets })],
        ['findMany', 'moods', () => store.findMany(home, 'item', ['a'], { facets })],
        ['query', 'moods', () => store.query(home, 'item', { facets })],
        [
          'a facet of another kind',
          'tags',
          () => store.find(home, 'note', 'a', { facets: ['tags'] }),
        ],
      ]);
    },
  ),
  promised(
    'refusals: a projected facet is not written by commits',
    'create and merge reject with INVALID, naming the facet, for one that is projected.',
    async ({ store }) => {
      const target = { kind: 'measured', id: 'm' } as const;
      const metrics = { metrics: { loss: 1 } };
      await rejects(
        'INVALID',
        () => write(store, { op: 'create', ...target, columns: {}, facets: metrics }),
        'create',
        ['metrics'],
      );
      await write(store, { op: 'create', ...target, columns: {} });
      await rejects(
        'INVALID',
        () => write(store, { op: 'merge', ...target, set: metrics }),
        'merge',
        ['metrics'],
      );
    },
  ),
  promised(
    'refusals: a value of the wrong type is INVALID',
    'Columns take values of their type alone; the refusal names the column.',
    async ({ store, leaseMs }) => {
      await write(store, job('j'));
      const wrong = { name: 5, count: '5', size: '0.5', live: 1, origin: null } as const;
      await allInvalid(store, [
        ...Object.entries(wrong).map(
          ([column, value]): Act => [
            `create with ${column} ${String(value)}`,
            column,
            () => write(store, item('a', { [column]: value } as never)),
          ],
        ),
        ['null for a text', 'name', () => write(store, item('a', { name: null } as never))],
        ['an object for a text', 'name', () => write(store, item('a', { name: {} } as never))],
        [
          'a Date for an integer',
          'count',
          () => write(store, item('a', { count: new Date(0) } as never)),
        ],
        [
          'claim',
          'state',
          () => store.claim('job', { limit: 1, owner: 'one', leaseMs, set: { state: 5 } }),
        ],
      ]);
    },
  ),
  promised(
    'refusals: adjusting what is no number is INVALID',
    'adjust takes integer and real columns; the refusal names the column.',
    async ({ store }) => {
      await write(store, note('a'));
      await rejects(
        'INVALID',
        () => write(store, { op: 'adjust', kind: 'note', id: 'a', column: 'title', by: 1 }),
        'A text column',
        ['title'],
      );
    },
  ),
  promised(
    'refusals: an integer that is not safe is INVALID',
    'Integer columns take safe integers, never rounding; the refusal names the column.',
    async ({ store }) => {
      const unsafe = [0.5, 2 ** 53, -(2 ** 53), Number.NaN, Number.POSITIVE_INFINITY, 1e300];
      await allInvalid(
        store,
        unsafe.map(
          (count): Act => [
            `create with ${count}`,
            'count',
            () => write(store, item('a', { count })),
          ],
        ),
      );
      await write(store, item('a', { count: Number.MAX_SAFE_INTEGER }));
      for (const by of [1, 0.5]) {
        const adjust = { op: 'adjust', kind: 'item', id: 'a', column: 'count', by } as const;
        await rejects('INVALID', () => write(store, adjust), `adjust by ${by}`, ['count']);
      }
      await rejects(
        'INVALID',
        () => write(store, replace({ columns: { count: 0.5 } })),
        'replace',
        ['count'],
      );
    },
  ),
  promised(
    'refusals: a required column may not be missing',
    'create without, and replace that clears, a required column are INVALID, naming the column.',
    async ({ store }) => {
      const bare: Change = { op: 'create', kind: 'note', id: 'n', columns: {} };
      await rejects('INVALID', () => write(store, bare), 'create', ['title']);
      await write(store, note('n'));
      const clear = {
        op: 'replace',
        kind: 'note',
        id: 'n',
        expect: 1,
        columns: { title: undefined },
      } as const;
      await rejects('INVALID', () => write(store, clear), 'replace', ['title']);
    },
  ),
  promised(
    'refusals: text with U+0000 or lone surrogates is INVALID in columns',
    'Columns refuse what is no Unicode text, naming the column.',
    async ({ store }) => {
      await write(store, note('a'));
      await allInvalid(
        store,
        unfit.flatMap((text): Act[] => [
          ['create', 'name', () => write(store, item('a', { name: text }))],
          [
            'replace',
            'title',
            () =>
              write(store, {
                op: 'replace',
                kind: 'note',
                id: 'a',
                expect: 1,
                columns: { title: text },
              }),
          ],
        ]),
      );
    },
  ),
  promised(
    'refusals: text with U+0000 or lone surrogates is INVALID in facets',
    'Facet keys and values refuse what is no Unicode text, at every level.',
    async ({ store }) => {
      await write(store, note('a'));
      await allInvalid(
        store,
        unfit.flatMap((text): Act[] => [
          [
            'a value',
            'colour',
            () => write(store, item('a', {}, { facets: { tags: { colour: text } } })),
          ],
          [
            'a value within',
            'colour',
            () => write(store, item('a', {}, { facets: { tags: { colour: [text] } } })),
          ],
          ['a key', 'tags', () => write(store, item('a', {}, { facets: { tags: { [text]: 1 } } }))],
        ]),
      );
    },
  ),
  promised(
    'refusals: text with U+0000 or lone surrogates is INVALID in bodies',
    'Bodies refuse what is no Unicode text, at every level, naming the path.',
    async ({ store }) => {
      await allInvalid(
        store,
        unfit.flatMap((text): Act[] => [
          ['a value', 'colour', () => write(store, item('a', {}, { body: { colour: text } }))],
          [
            'a value within',
            'colour',
            () => write(store, item('a', {}, { body: { deep: [{ colour: text }] } })),
          ],
          ['a key', '', () => write(store, item('a', {}, { body: { deep: { [text]: 1 } } }))],
        ]),
      );
    },
  ),
  promised(
    'refusals: text with U+0000 or lone surrogates is INVALID in ids and names',
    'Ids, workspaces, principals, reasons and events refuse what is no Unicode text.',
    async ({ store }) => {
      const changes = [item('a')];
      const commit = { workspace: home, principal: 'tester', changes };
      await allInvalid(
        store,
        unfit.flatMap((text): Act[] => [
          ['an id', '', () => write(store, item(text))],
          ['a workspace', '', () => store.commit({ ...commit, workspace: text })],
          ['a principal', '', () => store.commit({ ...commit, principal: text })],
          ['a reason', '', () => store.commit({ ...commit, reason: text })],
          ['a subject', '', () => write(store, emit(1, { subject: text }))],
          ['a payload', '', () => write(store, emit(1, { payload: { text } }))],
        ]),
      );
    },
  ),
  promised(
    'refusals: what is no JSON is INVALID in facets and bodies',
    'Functions, bigints, class instances and cycles are refused, naming the path.',
    async ({ store }) => {
      const cycle: Record<string, unknown> = {};
      cycle['self'] = cycle;
      const strange = [() => 1, 1n, new Date(0), new Map(), Symbol('s'), cycle, [undefined]];
      await allInvalid(
        store,
        strange.flatMap((value): Act[] => [
          ['a body', 'odd', () => write(store, item('a', {}, { body: { odd: value } } as never))],
          [
            'a facet',
            'odd',
            () => write(store, item('a', {}, { facets: { tags: { odd: value } } } as never)),
          ],
        ]),
      );
    },
  ),
  promised(
    'refusals: an event of more than 1 MB is INVALID',
    'An event carries up to 1 MB of JSON.',
    async ({ store }) => {
      const text = (length: number): string => 'x'.repeat(length);
      await write(store, emit(1, { payload: { text: text(990_000) } }));
      const big = emit(2, { payload: { text: text(1_100_000) } });
      await rejects('INVALID', () => write(store, item('a'), big), 'More than 1 MB');
      const { events } = await store.readEvents({ limit: 10 });
      equal(events.length, 1, 'Only the first should be there');
    },
  ),
];
