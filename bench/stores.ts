import type { BenchContext } from './benchmark.ts';
import { benchPgCommits } from './pg-commits.ts';
import { benchPgSearch } from './pg-search.ts';
import { benchPgSeries } from './pg-series.ts';
import { PgBench } from './pg-server.ts';
import type { Row } from './row.ts';
import { benchS3Artifacts } from './s3-artifacts.ts';

/** The stores that are not embedded, on servers that are started for it, which wait for the disk. */
export async function benchStores(context: BenchContext): Promise<Row[]> {
  context.tell('stores: starting PostgreSQL');
  await using server = await PgBench.start();
  return [
    ...(await benchPgCommits(context, server)),
    ...(await benchPgSeries(context, server)),
    ...(await benchPgSearch(context, server)),
    ...(await benchS3Artifacts(context)),
  ];
}
