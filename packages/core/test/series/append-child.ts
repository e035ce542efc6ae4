// Appends numbered batches from a number on and folds now and then, until it is killed or done; writes
// each number that was acknowledged. node append-child.ts <database> <writer> <from> <to>
import { writeSync } from 'node:fs';
import { SqliteSeriesStore } from '../../src/embedded/sqlite-series-store.ts';
import { numberedBatch } from './numbered-batch.ts';

const [path, writer, from, to] = process.argv.slice(2) as [string, string, string, string];
const store = await SqliteSeriesStore.open({ path });
for (let sequence = Number(from); sequence <= Number(to); sequence++) {
  await store.appendPoints(numberedBatch(writer, sequence));
  writeSync(1, `${sequence}\n`);
  if (sequence % 3 === 0) await store.fold();
}
await store.close();
