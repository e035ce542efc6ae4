// Logs a few points and leaves in one of several ways. node exit-child.ts <database> <way>
import { PointWriter } from '../../src/embedded/point-writer.ts';

const [path, way] = process.argv.slice(2) as [string, string];
const writer = PointWriter.open({ target: { kind: 'sqlite', path }, flushMs: 60_000 });
const index = writer.seriesIndex({ workspace: 'w', owner: 'run', key: 'loss' });
for (let i = 0; i < 1_000; i++) writer.log(index, undefined, 1_000 + i, i);
if (way === 'exit') process.exit(7);
if (way === 'throw') throw new Error('The training failed.');
if (way === 'close') await writer.close();
// Otherwise the process ends because there is nothing left to do: the thread must not keep it.
