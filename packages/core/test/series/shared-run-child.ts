// One of several processes that log to one series of one run. node shared-run-child.ts <database> <a|b>
import { PointWriter } from '../../src/embedded/point-writer.ts';

const [path, name] = process.argv.slice(2) as [string, string];
const writer = PointWriter.open({ target: { kind: 'sqlite', path }, flushMs: 10 });
const index = writer.seriesIndex({ workspace: 'w', owner: 'run', key: 'loss' });
for (let step = 0; step < 20_000; step++) {
  writer.log(index, step, Date.now(), name === 'a' ? step : -1 - step);
  if (step % 1_000 === 0) await writer.flush();
}
await writer.close();
