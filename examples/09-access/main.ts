/**
 * Two people and a machine: Ana trains, Ben approves, a nightly job logs with a key. What somebody may not do
 * is refused with the reason, what he may is explained, what he lends ends when it should.
 */
import { isKeelsonError, openPlatform, type Services } from '@keelson/core';

// Whoever opens the platform owns it, and makes the first grants.
const platform = await openPlatform({ access: true });
const { access } = platform.operations;
await platform.tracking.createExperiment({ name: 'weather', ifExists: 'reuse' });
await access.grant({ principal: 'user:ana', role: 'editor', resource: 'experiment:weather' });
await access.grant({ principal: 'user:ana', role: 'editor', resource: 'model:weather' });
await access.grant({ principal: 'user:ben', role: 'approver', resource: 'model:weather' });
const ana = services('user:ana');
const ben = services('user:ben');

const runId = await ana.tracking.withRun({ experiment: 'weather' }, async (run) => {
  run.logMetric('accuracy', 0.91);
  await run.logText('model.json', '{"rain": "tomorrow"}');
  return run.id;
});
const version = await ana.registry.register({
  model: 'weather',
  from: { runId, path: 'model.json' },
  format: 'CUSTOM',
});
const promotion = {
  model: 'weather',
  version: version.version,
  to: 'ARCHIVED',
  confirm: true,
  reason: 'an example',
} as const;
await tried('Ana asks for a move', () => ana.registry.requestTransition(promotion));
await tried('Ben looks at the run', () => ben.tracking.getRun(runId));

// Ben goes on holiday, and lends one permission on one model for a week. Ana has it as long as he has.
const week = Date.now() + 7 * 86_400_000;
await ben.operations.access.delegate({
  to: 'user:ana',
  permissions: ['model.promote'],
  resource: 'model:weather',
  expiresAt: week,
});
const question = { principal: 'user:ana', action: 'model.promote', resource: 'model:weather' };
const { allowed, reason } = await access.explain(question);
console.log(`May Ana promote now? ${allowed}: ${reason.replace(/\(.*\)/, '')}`);
await tried('Ana asks for a move again', () => ana.registry.requestTransition(promotion));

// A key for a machine: its secret is told once; it can do less than Ana, and nothing when it is revoked.
const { key, secret } = await access.createApiKey({
  principal: 'user:ana',
  name: 'nightly',
  scopes: ['tracking.read', 'run.*', 'experiment.create'],
});
const job = platform.as({ principal: await platform.authenticate({ bearer: secret }) });
await tried('The job logs', () => job.tracking.withRun({ experiment: 'weather' }, () => undefined));
await tried('The job reads the model', () => job.registry.getModel('weather'));
await access.revokeApiKey(key.id);
await tried('The job logs again', () => job.tracking.startRun({ experiment: 'weather' }));

await platform.close();

function services(id: string): Services {
  return platform.as({ principal: { id, roles: [] } });
}

async function tried(what: string, call: () => Promise<unknown>): Promise<void> {
  const said = await call().then(
    () => 'allowed',
    (error: unknown) => (isKeelsonError(error) ? `${error.code}: ${error.message}` : String(error)),
  );
  console.log(`${what}: ${said}`);
}
