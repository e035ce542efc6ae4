/**
 * A dataset turns out to be wrong. What is the version in production made from, what became of that
 * dataset, and which versions answered customers after they had seen it?
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lineageDiagram, type ModelVersion, openPlatform } from '@keelson/core';

const dir = join(await mkdtemp(join(tmpdir(), 'keelson-lineage-')), '.keelson');
const platform = await openPlatform({ dir });
const { registry, tracking } = platform;
const ana = platform.as({ principal: { id: 'user:ana', roles: ['approver'] } });

const months = { january: [3, 5, 4], february: [9, 9, 9], march: [4, 6, 5] };
const digest = (month: keyof typeof months): string =>
  createHash('sha256').update(JSON.stringify(months[month])).digest('hex');

/** A run that saw some months, and the version that it made, with its error on held-out days; fine-tuned from another where one is given. */
async function train(
  seen: readonly (keyof typeof months)[],
  error: number,
  base?: ModelVersion,
): Promise<ModelVersion> {
  const rows = seen.flatMap((month) => months[month]);
  const mean = rows.reduce((sum, row) => sum + row, 0) / rows.length;
  const name = `trained on ${seen.join(' and ')}`;
  const runId = await tracking.withRun({ experiment: 'demand', name }, async (run) => {
    for (const month of seen) {
      await run.logDataset({ name: `sales-${month}`, digest: digest(month), role: 'train' });
    }
    run.logMetric('error', error);
    await run.logJson('model/model.json', { mean });
    return run.id;
  });
  return await registry.register({
    model: 'demand',
    from: { runId, path: 'model' },
    format: 'JS',
    signature: {
      inputs: [{ name: 'day', datatype: 'FP64', shape: [-1] }],
      outputs: [{ name: 'pieces', datatype: 'FP64', shape: [-1] }],
    },
    metrics: { error },
    lineage: {
      parentVersionIds: base === undefined ? [] : [base.id],
      featureSets: ['calendar@2'],
      environment: { image: 'registry.example/trainer:7' },
    },
  });
}

/** Into staging by its checks, into production by another person's approval. */
async function toProduction({ model, version }: ModelVersion): Promise<void> {
  await registry.requestTransition({ model, version, to: 'STAGING', reason: 'trained' });
  const to = 'PRODUCTION';
  const asked = await registry.requestTransition({ model, version, to, reason: 'better' });
  await ana.registry.approve(asked.id);
}

const first = await train(['january'], 0.9);
await toProduction(first);
const second = await train(['january', 'february'], 0.6);
await toProduction(second);
const tuned = await train(['march'], 0.5, second);
const clean = await train(['january', 'march'], 0.4);
await toProduction(tuned);
await toProduction(clean);
const now = Date.now();

console.log(`1. What is ${tuned.model}@${tuned.version} made from?\n`);
const made = await registry.lineage(`demand@${tuned.version}`);
for (const { depth, type, label } of made.nodes) {
  console.log(`   ${'  '.repeat(depth)}${type.replace('_', ' ')}  ${label}`);
}

console.log('\n2. What became of the sales of february?\n');
const became = await registry.lineage(digest('february'), { direction: 'forward' });
for (const { depth, type, label, stage } of became.nodes) {
  const where = stage === undefined ? '' : `, ${stage.toLowerCase()}`;
  console.log(`   ${'  '.repeat(depth)}${type.replace('_', ' ')}  ${label}${where}`);
}

console.log('\n3. Which versions that had seen them were in production until now?\n');
const { versions } = await registry.impact({ datasetDigest: digest('february'), until: now });
for (const { version, path, periods } of versions) {
  const ms = periods.reduce((sum, { from, until = now }) => sum + until - from, 0);
  console.log(`   demand@${version} for ${ms} ms, ${path.length - 1} steps from the dataset`);
}

console.log('\n4. Which did not, and how do they differ?\n');
const search = await registry.searchVersions({
  model: 'demand',
  filter: `NOT lineage.dataset = '${digest('february')}' AND lineage.parent IS NULL`,
  orderBy: ['version'],
});
console.log(`   ${search.versions.map(({ version }) => version).join(', ')}\n`);
console.log(await registry.comparisonPage(['demand@1.0.0', 'demand@production'], 'markdown'));

console.log('The first answer as a diagram, for Markdown that draws Mermaid:\n');
console.log(lineageDiagram(made));

await platform.close();
await rm(join(dir, '..'), { recursive: true });
