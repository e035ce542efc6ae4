import type { KindDeclaration } from '../../src/contracts/record.ts';

/** What competing processes work on: pools that they move amounts between, codes they want, jobs. */
export const contentionKinds: readonly KindDeclaration[] = [
  {
    name: 'pool',
    columns: { amount: { type: 'integer' }, moves: { type: 'integer' } },
    indexes: [['amount']],
    facets: { tags: { source: 'merged' } },
    history: 'kept',
  },
  {
    name: 'seat',
    columns: { code: { type: 'text', optional: true }, holder: { type: 'text' } },
    unique: [{ name: 'seat code', columns: ['code'] }],
    history: 'none',
  },
  {
    name: 'job',
    columns: { done: { type: 'integer' }, dueAt: { type: 'integer' } },
    indexes: [['dueAt']],
    history: 'none',
    claimable: true,
  },
];

export const poolCount = 20;
export const startAmount = 100;
export const workspace = 'arena';

/**
 * What a process says of a commit: its event, seat or tag is there; or, the store being away, the event is
 * there or not (`perhaps`), or certainly not.
 */
export type Said =
  | { readonly did: 'event' | 'perhaps' | 'not'; readonly id: string }
  | { readonly did: 'seat'; readonly code: string; readonly id: string }
  | { readonly did: 'tag'; readonly pool: string; readonly key: string };
