/**
 * Appends batches of 100 points and folds now and then, for ever or so many: `append-points <url> <schema>
 * <writer> [batches]`. Prints `stored N` when batch N is acknowledged.
 */
import { PgDatabase } from '../../src/connection/pg-database.ts';
import { PgSeriesStore } from '../../src/series/pg-series-store.ts';

const [url = '', schema = '', writer = '', batches = 'Infinity'] = process.argv.slice(2);
const database = new PgDatabase({ url, schema, maxConnections: 2, listen: false });
const store = await PgSeriesStore.open({ database });
const key = { workspace: 'w', owner: writer, key: 'loss' };
for (let sequence = 1; sequence <= Number(batches); sequence += 1) {
  const steps = Float64Array.from({ length: 100 }, (_, i) => (sequence - 1) * 100 + i);
  await store.appendPoints({
    writer,
    sequence,
    series: [key],
    seriesIndex: new Uint32Array(100),
    steps,
    timestamps: steps,
    values: steps,
  });
  console.log(`stored ${sequence}`);
  if (sequence % 3 === 0) await store.fold();
}
await store.close();
await database.close();
console.log('done');
