// Contends for what is in a SQLite file until it has made so many commits or is killed, and says what was
// acknowledged, a line of JSON each. An error that the contract does not foresee ends it with code 1.
// node contention-child.ts <database> <name> <seed> <commits>
import { writeSync } from 'node:fs';
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { contend } from './contend.ts';
import { contentionKinds, poolCount } from './contention-kinds.ts';

const [path = '', name = '', seed = '1', commits = '1'] = process.argv.slice(2);
const store = await SqliteMetadataStore.open({ path, kinds: contentionKinds });
await contend({
  store,
  name,
  seed: Number(seed),
  commits: Number(commits),
  pools: poolCount,
  say: (said) => writeSync(1, `${JSON.stringify(said)}\n`),
});
await store.close();
