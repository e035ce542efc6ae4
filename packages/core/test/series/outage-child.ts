// Logs points to a store that is away, and leaves, or stays without ever yielding and says how many of
// them are in the spool. node outage-child.ts <options of the target> <spool> <leave|stay>
import { writeSync } from 'node:fs';
import { PointWriter } from '../../src/embedded/point-writer.ts';

const [options, spoolDir, way] = process.argv.slice(2) as [string, string, string];
const writer = PointWriter.open({
  target: {
    kind: 'module',
    module: new URL('./faulty-point-target.ts', import.meta.url).href,
    options: JSON.parse(options),
  },
  spoolDir,
});
const index = writer.seriesIndex({ workspace: 'w', owner: 'run', key: 'loss' });
for (let i = 0; i < 5_000; i++) writer.log(index, i % 2 === 0 ? i : undefined, 1_000 + i, i);
let told = 0;
while (way === 'stay') {
  if (Date.now() - told < 50) continue;
  told = Date.now();
  writeSync(1, `${writer.health().spooledPoints}\n`);
}
