/**
 * A registry moves from files on this machine to servers, and back: versions, stages, approvals, lineage,
 * audit and content are the same there, to the byte. With KEELSON_TEST_PG_URL, and KEELSON_TEST_S3_BUCKET (and
 * KEELSON_TEST_S3_ENDPOINT), the servers are PostgreSQL and S3; without them a second directory stands for each.
 */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform, type PlatformOptions } from '@keelson/core';
import { pgBackend } from '@keelson/store-pg';
import { s3Backend } from '@keelson/store-s3';

const scratch = mkdtempSync(join(tmpdir(), 'keelson-moving-'));

/** What the servers are, as far as there are any. */
function servers(): PlatformOptions {
  const url = process.env['KEELSON_TEST_PG_URL'];
  const bucket = process.env['KEELSON_TEST_S3_BUCKET'];
  const endpoint = process.env['KEELSON_TEST_S3_ENDPOINT'];
  const pg = url === undefined ? undefined : pgBackend({ url, schema: `moving${process.pid}` });
  console.log(
    `Records there: ${pg ? 'PostgreSQL' : 'SQLite'}; content: ${bucket ? 'S3' : 'files'}`,
  );
  return {
    dir: join(scratch, 'there'),
    ...(pg === undefined ? {} : { metadata: pg, series: pg }),
    ...(bucket === undefined
      ? {}
      : { artifacts: s3Backend({ bucket, ...(endpoint === undefined ? {} : { endpoint }) }) }),
  };
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(file)) hash.update(bytes);
  return hash.digest('hex');
}

/** The chain of a model: how long it is, and the digest of its last link, which stands for all before. */
async function chainOf({ operations }: Platform, model: string): Promise<string> {
  const entries = await Array.fromAsync(operations.audit.entries({ subject: `model:${model}` }));
  return `${entries.length} entries, last ${entries.at(-1)?.digest.slice(0, 16)}`;
}

/** What is told of a platform: equal lines are equal registries. */
async function tell(name: string, platform: Platform, archive: string): Promise<void> {
  const production = await platform.registry.productionVersion('fraud');
  const { problemCount, imported } = await platform.operations.audit.verify();
  console.log(
    `${name.padEnd(6)} production ${production?.version} ${production?.sha256.slice(0, 16)}, chain ${await chainOf(platform, 'fraud')}, archive ${(await digestOf(archive)).slice(0, 16)}; audit: ${problemCount} problems, ${imported} entries came from elsewhere`,
  );
}

const here = await openPlatform({
  dir: join(scratch, 'here'),
  principal: { id: 'user:lead', roles: [] },
});
const ana = here.as({ principal: { id: 'user:ana', roles: ['approver'] } });
const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'fraud', datatype: 'BOOL', shape: [-1] }],
} as const;
const parents: string[] = [];
for (const weights of ['first', 'second', 'third']) {
  const { id, version } = await here.registry.register({
    model: 'fraud',
    from: { files: { 'model.json': Buffer.from(weights) } },
    format: 'JS',
    signature,
    bump: 'minor',
    lineage: { parentVersionIds: parents.slice(-1) },
  });
  parents.push(id);
  const move = { model: 'fraud', version, reason: `${weights} is better` };
  await here.registry.requestTransition({ ...move, to: 'STAGING' });
  const asked = await here.registry.requestTransition({ ...move, to: 'PRODUCTION' });
  await ana.registry.approve(asked.id, { comment: 'looked at it' });
  await here.registry.setAlias('fraud', 'champion', version);
}

const out = join(scratch, 'out.tar');
const on = join(scratch, 'on.tar');
const again = join(scratch, 'again.tar');
await here.registry.exportModels({ to: out });
await tell('here', here, out);

await using there = await openPlatform(servers());
const { added } = await there.registry.importModels({ from: out });
await there.registry.exportModels({ to: on });
await tell('there', there, on);

await using back = await openPlatform({ dir: join(scratch, 'back') });
await back.registry.importModels({ from: on });
await back.registry.exportModels({ to: again });
await tell('back', back, again);

const { skipped } = await here.registry.importModels({ from: again });
const digests = new Set([await digestOf(out), await digestOf(on), await digestOf(again)]);
console.log(
  `${added.versions} versions, ${added.transitions} transitions, ${added.auditEntries} audit entries: ${digests.size === 1 ? 'the same bytes' : 'OTHER BYTES'} three times; where they came from, ${skipped.versions} versions are there already`,
);
await here.close();
if (digests.size > 1) process.exitCode = 1;
