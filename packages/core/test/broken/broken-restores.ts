import type { Change } from '../../src/contracts/metadata-store.ts';
import { KeelsonError } from '../../src/errors.ts';
import { keyOf } from '../../src/testing/model/reference-world.ts';
import { afterCommit, type BrokenStore, changing, omitting } from './broken-store.ts';

type Restore = Extract<Change, { readonly op: 'restore' }>;

/** Rewrites what is restored. */
const restoring = (rewrite: (change: Restore) => Change): NonNullable<BrokenStore['wrap']> =>
  changing((change) => (change.op === 'restore' ? rewrite(change) : change));

export const brokenRestores: readonly BrokenStore[] = [
  {
    breaks: 'restore: a record is there as it was elsewhere',
    how: 'an empty facet is all that comes of facets with one key',
    wrap: restoring((change) =>
      JSON.stringify(change.record.facets) === '{"params":{"rate":0.5}}' &&
      change.record.id === 'a' &&
      change.history === undefined
        ? { ...change, record: { ...change.record, facets: {} } }
        : change,
    ),
  },
  {
    breaks: 'restore: searches find what was restored',
    how: 'early times are brought forward',
    wrap: restoring((change) =>
      change.record.createdAt < 1_000
        ? { ...change, record: { ...change.record, createdAt: 1_000 } }
        : change,
    ),
  },
  {
    breaks: 'restore: every value is kept exactly',
    how: 'the history keeps no −0',
    wrap: restoring((change) => {
      const history = change.history?.map((entry) =>
        Object.is(entry.columns['size'], -0) ? { ...entry, columns: { size: 0 } } : entry,
      );
      return history === undefined ? change : { ...change, history };
    }),
  },
  {
    breaks: 'restore: its history is as it was: who, when and why',
    how: 'the restoring principal stands in for everybody',
    wrap: restoring((change) =>
      change.history?.some(({ reason }) => reason === 'a start') === true
        ? { ...change, history: change.history.map((entry) => ({ ...entry, by: 'tester' })) }
        : change,
    ),
  },
  {
    breaks: 'restore: without a history the commit stands in it',
    how: 'without a history nothing is kept',
    wrap: afterCommit((world, { workspace, principal, changes }) => {
      for (const change of changes) {
        if (change.op !== 'restore' || change.history !== undefined || principal !== 'mover')
          continue;
        world.state.histories.delete(keyOf(workspace, change.record.kind, change.record.id));
      }
      return undefined;
    }),
  },
  {
    breaks: 'restore: a kind without history needs none',
    how: 'an empty history is refused, whatever the kind',
    wrap: (store) => ({
      commit: async (commit) => {
        const empty = commit.changes.some(
          (change) => change.op === 'restore' && change.history?.length === 0,
        );
        if (!empty) return await store.commit(commit);
        throw new KeelsonError('INVALID', 'The history is empty.');
      },
    }),
  },
  {
    breaks: 'restore: the record goes on from its revision',
    how: 'what is replaced in the same commit stays at its revision in the history',
    wrap: afterCommit((world, { workspace, changes }) => {
      const [first, second] = changes;
      if (first?.op !== 'restore' || second?.op !== 'replace') return undefined;
      const key = keyOf(workspace, second.kind, second.id);
      const entries = world.state.histories.get(key) ?? [];
      world.state.histories.set(key, entries.slice(0, -1));
      return undefined;
    }),
  },
  {
    breaks: 'restore: what was removed can be restored',
    how: 'a restored history takes the place of what was kept',
    wrap: afterCommit((world, { workspace, changes }) => {
      for (const change of changes) {
        if (change.op !== 'restore' || change.history === undefined) continue;
        const { kind, id } = change.record;
        const key = keyOf(workspace, kind, id);
        const kept = world.state.histories.get(key) ?? [];
        if (kept.some(({ removed }) => removed)) world.state.histories.set(key, change.history);
      }
      return undefined;
    }),
  },
  {
    breaks: 'restore: an id that is taken is CONFLICT',
    how: 'restoring over a record takes its place',
    wrap: omitting(['taken id'], (change) => change.op === 'restore' && change.record.id !== 'a'),
  },
  {
    breaks: 'restore: a unique key that is taken is CONFLICT',
    how: 'restore looks up no key',
    wrap: omitting(['unique'], (change) => change.op === 'restore'),
  },
  {
    breaks: 'restore: what create would refuse is INVALID',
    how: 'a restored record may be at revision 0',
    omits: ['restored revision'],
  },
  {
    breaks: 'restore: what create would refuse is INVALID',
    how: 'a time is any number',
    omits: ['restored numbers'],
  },
  {
    breaks: 'restore: what create would refuse is INVALID',
    how: 'a restored record may lack what is required',
    omits: ['restored required'],
  },
  {
    breaks: 'restore: a history that is not the record’s is INVALID',
    how: 'revisions come in any order',
    omits: ['restored history ascends'],
  },
  {
    breaks: 'restore: a history that is not the record’s is INVALID',
    how: 'a history ends anywhere',
    omits: ['restored history end'],
  },
  {
    breaks: 'restore: a history that is not the record’s is INVALID',
    how: 'a removal may come between',
    omits: ['restored history removal'],
  },
  {
    breaks: 'restore: a history that is not the record’s is INVALID',
    how: 'a kind without history gets one',
    omits: ['restored history of none'],
  },
  {
    breaks: 'restore: a history that is not the record’s is INVALID',
    how: 'names and reasons in a history are not looked at',
    omits: ['restored history text'],
  },
  {
    breaks: 'restore: all of a commit, or none',
    how: 'the history of a restored record stays when the commit is refused',
    wrap: (store, world) => ({
      commit: async (commit) => {
        try {
          return await store.commit(commit);
        } catch (error) {
          const [first, second] = commit.changes;
          if (first?.op === 'restore' && second?.op === 'create') {
            const key = keyOf(commit.workspace, first.record.kind, first.record.id);
            world.state.histories.set(key, first.history ?? []);
          }
          throw error;
        }
      },
    }),
  },
];
