/**
 * An artifact store of one's own: `sqlite-artifacts.ts` keeps contents in one SQLite file, and its test runs
 * the suite of the contract on it. Here a platform uses it as it uses any other.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { sqliteArtifacts } from './sqlite-artifacts.ts';

const file = join(mkdtempSync(join(tmpdir(), 'keelson-own-store-')), 'artifacts.db');
const platform = await openPlatform({ artifacts: sqliteArtifacts(file) });
const { tracking } = platform;
const id = await tracking.withRun({ experiment: 'own-store' }, async (run) => {
  const model = await run.logArtifact('model.bin', new Uint8Array(3_000_000).fill(7));
  await run.logText('again.txt', 'the same text');
  await run.logText('twice.txt', 'the same text');
  console.log(`The model lies at ${model.uri.replace(/^sqlite:.*#/, 'sqlite:…#')}`);
  return run.id;
});
const bytes = await tracking.readArtifact(id, 'model.bin');
const { findings, contents } = await platform.operations.verify({ contents: 'read' });
console.log(
  `Read back ${bytes.length} bytes; ${contents} contents verified, ${findings.length} findings`,
);
await platform.close();
