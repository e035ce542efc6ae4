import { eventArchiveKinds } from '../../src/contracts/kinds/event-archive-kinds.ts';
import { eventKinds } from '../../src/contracts/kinds/event-kinds.ts';
import type { KindDeclaration } from '../../src/contracts/record.ts';

/** Something that handlers change: how often each event had its effect. */
const tallyKind: KindDeclaration = {
  name: 'tally',
  columns: { count: { type: 'integer' } },
  history: 'none',
};

/** What tests of events and their child processes keep. */
export const eventTestKinds: readonly KindDeclaration[] = [...eventKinds, tallyKind];

/** Those, and what retention keeps. */
export const retentionTestKinds: readonly KindDeclaration[] = [
  ...eventTestKinds,
  ...eventArchiveKinds,
];
