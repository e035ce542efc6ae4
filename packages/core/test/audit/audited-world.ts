import { onTestFinished } from 'vitest';
import type { Platform } from '../../src/open-platform.ts';
import { openTestPlatform } from '../open-test-platform.ts';

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

/** What was done in the world. */
export interface AuditedWorld {
  readonly platform: Platform;
  readonly dir: string;
  readonly versionIds: readonly [string, string];
}

/** A platform in which models, a deployment, rights and limits were changed by several people. */
export async function openAuditedWorld(): Promise<AuditedWorld> {
  const { platform, dir } = await openTestPlatform({
    access: true,
    principal: { id: 'user:lead', roles: [] },
  });
  const { registry, deployments, operations, events } = platform;
  const register = (text: string) =>
    registry.register({
      model: 'fraud',
      from: { files: { 'model.json': Buffer.from(text) } },
      format: 'JS',
      signature,
    });
  const one = await register('one');
  const two = await register('two');
  const grant = { role: 'approver', resource: 'model:fraud' };
  await operations.access.grant({ principal: 'user:ana', ...grant });
  const transition = { model: 'fraud', reason: 'good' };
  for (const to of ['STAGING', 'PRODUCTION'] as const) {
    await registry.requestTransition({ ...transition, version: one.version, to });
  }
  const [asked] = await registry.listTransitions(one.id);
  const ana = platform.as({ principal: { id: 'user:ana', roles: [] } });
  if (asked?.status === 'PENDING') await ana.registry.approve(asked.id, { comment: 'yes' });
  await ana.pipelines.list().catch(() => undefined);
  await deployments.create({ name: 'api', versionId: one.id, environment: 'PRODUCTION' });
  await deployments.setVersion('api', two.id, 'better');
  await platform.as({ workspace: 'other' }).events.publish({ type: 'invoice.sent', subject: 'x' });
  await operations.quotas.set({ resource: 'runs', limit: 1000 });
  await events.publish({ type: 'invoice.sent', subject: 'invoice:1', payload: { total: 1 } });
  await operations.access.revoke({ principal: 'user:ana' });
  onTestFinished(() => platform.close());
  return { platform, dir, versionIds: [one.id, two.id] };
}
