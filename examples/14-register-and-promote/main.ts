/**
 * From a run to production, under a policy: thresholds, a check of one's own, somebody who approves, a smoke test
 * before the stage counts, an alias that follows, an emergency, and what was in production when.
 */
import {
  defaultStagePolicy,
  isKeelsonError,
  type ModelVersion,
  openPlatform,
  type StageTransition,
  withThresholds,
} from '@keelson/core';

const platform = await openPlatform({ principal: { id: 'user:ben', roles: [] } });
// The loops run the effects of stages; any process of the platform may.
platform.start();
const ben = platform.registry;
const ana = platform.as({ principal: { id: 'user:ana', roles: ['risk'] } }).registry;
const model = `fraud-${Date.now()}`;

// What a version must have on its way: an accuracy, no gap between groups, a person of risk, a smoke test.
const policy = withThresholds(defaultStagePolicy, { accuracy: { min: 0.8 } });
await ben.createModel({
  name: model,
  description: 'Fraud at the checkout',
  policy: {
    ...policy,
    transitions: policy.transitions.map((rule) => {
      if (rule.to === 'STAGING') {
        return { ...rule, checks: [...rule.checks, { check: 'own', name: 'fairness' }] };
      }
      if (rule.to !== 'PRODUCTION') return rule;
      return { ...rule, approverRoles: ['risk'], effects: ['smoke test'] };
    }),
  },
});
ben.addCheck('fairness', (version) => {
  const gap = version.metrics['gap'] ?? Number.NaN;
  if (!(gap <= 0.05)) throw new Error(`groups differ by ${gap}, 0.05 is allowed`);
  return `groups differ by ${gap}`;
});
ben.addEffect({
  name: 'smoke test',
  async run({ version, superseded }) {
    const instead = superseded === undefined ? '' : `, to replace ${superseded.version}`;
    console.log(`  smoke test of ${version.version}${instead}`);
    return { answered: 200 };
  },
});

const weak = await train({ accuracy: 0.71, gap: 0.02 });
show('weak', await ask(weak, 'STAGING'));
const unfair = await train({ accuracy: 0.9, gap: 0.2 });
show('unfair', await ask(unfair, 'STAGING'));

const first = await train({ accuracy: 0.9, gap: 0.02 });
await toProduction(first);
const second = await train({ accuracy: 0.91, gap: 0.03 });
await toProduction(second);
const between = Date.now();

// Who asks cannot approve, and a version never changes: both say so.
const third = await train({ accuracy: 0.92, gap: 0 });
await ask(third, 'STAGING');
const own = await ask(third, 'PRODUCTION');
await refused(() => ben.approve(own.id));
await refused(() =>
  ben.register({
    ...{ model, version: first.version, format: 'CUSTOM' },
    from: { files: { 'weights.json': Buffer.from('others') } },
  }),
);

const { demoted, reinstated } = await ben.rollback(model, { reason: 'it blocks every payment' });
console.log(`emergency: ${demoted.version} to Staging, ${reinstated.version} back in production`);
await ben.setAlias(model, 'champion', reinstated.version);
console.log(`${model}@champion is ${(await ben.resolve(`${model}@champion`)).version}`);
const then = await ben.asOf(model, between);
console.log(`before the emergency ${then?.production} was in production`);
const { intact } = await platform.operations.audit.verify();
console.log(`the audit trail is ${intact ? 'whole' : 'broken'}`);
await platform.close();

/** A run with a model, registered: the next version by what has changed. */
async function train(metrics: Readonly<Record<string, number>>): Promise<ModelVersion> {
  const runId = await platform.tracking.withRun({ experiment: model }, async (run) => {
    for (const [key, value] of Object.entries(metrics)) run.logMetric(key, value);
    await run.logText('model/weights.json', JSON.stringify(metrics));
    return run.id;
  });
  const version = await ben.register({
    ...{ model, from: { runId, path: 'model' }, format: 'CUSTOM', metrics },
    signature: {
      inputs: [{ name: 'payments', datatype: 'FP64', shape: [-1, 12] }],
      outputs: [{ name: 'fraud', datatype: 'FP64', shape: [-1] }],
    },
  });
  console.log(`registered ${version.version} (number ${version.number})`);
  return version;
}

async function ask(version: ModelVersion, to: 'STAGING' | 'PRODUCTION'): Promise<StageTransition> {
  return await ben.requestTransition({ model, version: version.version, to, reason: 'an example' });
}

async function toProduction(version: ModelVersion): Promise<void> {
  show(version.version, await ask(version, 'STAGING'));
  const asked = await ask(version, 'PRODUCTION');
  show(version.version, asked);
  const approved = await ana.approve(asked.id, { comment: 'looked at the report' });
  show(version.version, approved);
  await platform.operations.sagas.wait(approved.sagaId ?? '');
  show(version.version, await ben.getTransition(asked.id));
}

function show(what: string, { to, status, ended, checks }: StageTransition): void {
  const passed = checks.filter((check) => check.passed).map(({ name }) => name);
  const why = ended ?? (passed.length === 0 ? '' : `passed ${passed.join(', ')}`);
  console.log(`${what} → ${to}: ${status}${why === '' ? '' : ` (${why})`}`);
}

async function refused(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isKeelsonError(error)) throw error;
    console.log(`refused: ${error.code}: ${error.message.replace(/[0-9a-f]{64}/g, '…')}`);
    return;
  }
  throw new Error('It should have been refused.');
}
