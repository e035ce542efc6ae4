/** Contends for what is in a SQLite file; see `contentionProcess`. */
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { type ContentionArgument, contentionProcess } from './contend.ts';
import { contentionKinds } from './contention-kinds.ts';

contentionProcess<ContentionArgument & { readonly path: string }>(({ path }) =>
  SqliteMetadataStore.open({ path, kinds: contentionKinds }),
);
