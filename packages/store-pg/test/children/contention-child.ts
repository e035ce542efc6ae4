// Contends for what is in a schema until it has made so many commits or is killed, and says what was
// acknowledged, a line of JSON each. An error that the contract does not foresee ends it with code 1.
// node contention-child.ts <options of pgBackend as JSON> <name> <seed> <commits> <pools>
import { writeSync } from 'node:fs';
import { contend } from '../../../core/test/metadata/contend.ts';
import { contentionKinds } from '../../../core/test/metadata/contention-kinds.ts';
import { pgBackend } from '../../src/index.ts';
import { silentLogger } from '../silent-logger.ts';

const [options = '', name = '', seed = '1', commits = '1', pools = '1'] = process.argv.slice(2);
const backend = pgBackend(JSON.parse(options));
const store = await backend.openMetadata({ kinds: contentionKinds, logger: silentLogger });
await contend({
  store,
  name,
  seed: Number(seed),
  commits: Number(commits),
  pools: Number(pools),
  say: (said) => writeSync(1, `${JSON.stringify(said)}\n`),
});
await store.close();
