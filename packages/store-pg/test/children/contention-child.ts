/** Contends for what is in a schema; see `contentionProcess`. */
import { type ContentionArgument, contentionProcess } from '../../../core/test/metadata/contend.ts';
import { contentionKinds } from '../../../core/test/metadata/contention-kinds.ts';
import { type PgConnectionOptions, pgBackend } from '../../src/index.ts';
import { silentLogger } from '../silent-logger.ts';

type Place = Extract<PgConnectionOptions, { readonly url: string }>;

contentionProcess<ContentionArgument & { readonly place: Place }>(({ place }) =>
  pgBackend(place).openMetadata({ kinds: contentionKinds, logger: silentLogger }),
);
