import type { Services } from '../../src/open-platform.ts';

/** Names of the models of {@link filledRegistry}. */
export const filledModels = ['fraud', 'churn'] as const;

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

/**
 * Two models: `fraud` with versions from a run and from files, one in production, one that waits for an
 * approval and one that was rejected; `churn` with a version that came of one of those.
 */
export async function filledRegistry(
  services: Services,
  /** The registry of the same workspace, as somebody else. */
  by: (principal: string) => Services['registry'],
): Promise<void> {
  const { registry, tracking } = services;
  const run = await tracking.startRun({ experiment: 'fraud', environment: false });
  await run.logArtifact('model/model.json', Buffer.from('one'));
  await run.logArtifact('model/weights.bin', Buffer.alloc(70_000, 7));
  await run.finish();
  const format = 'JS';
  const first = await registry.register({
    ...{ model: 'fraud', from: { runId: run.id, path: 'model' }, format, signature },
    ...{ metrics: { auc: 0.91, odd: -0 }, tags: { team: 'risk', ü: '日本語' } },
    description: 'the first',
  });
  const register = (text: string, more: object = {}) =>
    registry.register({
      ...{ model: 'fraud', from: { files: { 'model.json': Buffer.from(text) } } },
      ...{ format, signature, lineage: { parentVersionIds: [first.id], codeCommit: 'abc123' } },
      ...more,
    });
  const second = await register('two', { bump: 'major' });
  const third = await register('three', { metrics: { auc: 0.95 } });
  const move = async (version: string, to: 'STAGING' | 'PRODUCTION') =>
    registry.requestTransition({ model: 'fraud', version, to, reason: `to ${to}` });
  for (const { version } of [first, second, third]) await move(version, 'STAGING');
  await by('user:ana').approve((await move(first.version, 'PRODUCTION')).id, { comment: 'yes' });
  await by('user:ben').reject((await move(second.version, 'PRODUCTION')).id, { comment: 'no' });
  await move(third.version, 'PRODUCTION');
  await registry.setVersionTags(third.id, { phase: 'late' });
  const { policy } = await registry.getModel('fraud');
  await registry.setPolicy('fraud', { ...policy, selfApproval: true });
  await registry.register({
    ...{ model: 'churn', from: { files: { 'a/b.json': Buffer.from('two') } }, format },
    lineage: { parentVersionIds: [second.id], datasets: [{ digest: 'd1', role: 'train' }] },
  });
}
