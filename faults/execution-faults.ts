import type { Execution, Platform } from '@keelson/core';

/** Steps that completed twice, or began before those that they depend on had completed: by the events told. */
export async function orderFaults(
  platform: Pick<Platform, 'events'>,
  executions: readonly Execution[],
  steps: readonly { readonly name: string; readonly dependsOn: readonly string[] }[],
): Promise<readonly string[]> {
  const dependsOn = new Map(steps.map((step) => [step.name, step.dependsOn]));
  const wrong: string[] = [];
  for (const { id, correlationId } of executions) {
    const done = new Set<string>();
    for await (const { type, payload } of platform.events.each({ correlationId })) {
      const step = String(payload['step']);
      if (type === 'step.completed') {
        if (done.has(step)) wrong.push(`${id}: ${step} completed twice`);
        done.add(step);
      }
      if (type !== 'step.started') continue;
      const early = dependsOn.get(step)?.find((other) => !done.has(other));
      if (early !== undefined) wrong.push(`${id}: ${step} started before ${early} had completed`);
    }
  }
  return wrong;
}

/** What is still reserved when all has ended. */
export async function reservedStill(
  platform: Pick<Platform, 'pipelines'>,
): Promise<readonly string[]> {
  const pools = await platform.pipelines.resources();
  return pools
    .filter(({ used }) => Object.values(used).some((amount) => amount !== 0))
    .map(({ pool, used }) => `${pool} still has ${JSON.stringify(used)}`);
}
