/** A process of the work scenario on the embedded store; see `workProcess`. */
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { type WorkArgument, workProcess } from '../../src/testing/faults/work-process.ts';
import { workKinds } from '../../src/testing/faults/work-scenario.ts';

workProcess<WorkArgument & { readonly path: string }>(({ path }) =>
  SqliteMetadataStore.open({ path, kinds: workKinds, clock: { now: () => Date.now() } }),
);
