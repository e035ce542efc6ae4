/**
 * Appends batches of three rows to the stream `kept` of an owner, at times of some sixty past days, and drops
 * those of the stream `dropped` now and then, for ever or so many: `append-rows <url> <schema> <owner>
 * [batches]`. Prints `stored N` when batch N of `kept` is acknowledged.
 */
import { PgDatabase } from '../../src/connection/pg-database.ts';
import { PgSeriesStore } from '../../src/series/pg-series-store.ts';
import { rowsAt } from '../rows-at.ts';

const [url = '', schema = '', owner = '', batches = 'Infinity'] = process.argv.slice(2);
const database = new PgDatabase({ url, schema, maxConnections: 2, listen: false });
const store = await PgSeriesStore.open({ database });
const now = Date.now();
for (let sequence = 1; sequence <= Number(batches); sequence += 1) {
  const at = now - ((sequence * 7) % 60) * 86_400_000;
  const times = [at, at + sequence, at + 1];
  await store.appendRows(rowsAt(times, { owner, writer: owner, sequence, stream: 'dropped' }));
  await store.appendRows(rowsAt(times, { owner, writer: owner, sequence, stream: 'kept' }));
  console.log(`stored ${sequence}`);
  const stream = { workspace: 'w', stream: 'dropped', owner };
  if (sequence % 5 === 0) await store.dropRows(stream, now - (sequence % 40) * 86_400_000);
}
await store.close();
await database.close();
console.log('done');
