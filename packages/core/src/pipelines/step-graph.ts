/** A step and the names of those that must have completed before it. */
export interface GraphStep {
  readonly name: string;
  readonly dependsOn: readonly string[];
}

/** The steps that depend on each step, in the order of the definition. */
export function dependentsOf(steps: readonly GraphStep[]): ReadonlyMap<string, readonly string[]> {
  const dependents = new Map<string, string[]>(steps.map((step) => [step.name, []]));
  for (const step of steps) {
    for (const name of step.dependsOn) dependents.get(name)?.push(step.name);
  }
  return dependents;
}

/** The names from `start` back to `start`, or undefined when no step waits for itself. */
export function findCycle(steps: readonly GraphStep[]): readonly string[] | undefined {
  const left = new Set(steps.map((step) => step.name));
  for (const name of topologicalOrder(steps)) left.delete(name);
  const [first] = left;
  if (first === undefined) return undefined;
  // All that is left waits for something that is left: following it must come round.
  const byName = new Map(steps.map((step) => [step.name, step]));
  const path: string[] = [];
  for (let at = first; ; ) {
    const seen = path.indexOf(at);
    if (seen >= 0) return [...path.slice(seen), at];
    path.push(at);
    at = byName.get(at)?.dependsOn.find((name) => left.has(name)) ?? first;
  }
}

/** Each step behind all that it depends on, else in the order given; steps of cycles are missing. */
export function topologicalOrder(steps: readonly GraphStep[]): readonly string[] {
  const open = new Map(steps.map((step) => [step.name, step.dependsOn.length]));
  const dependents = dependentsOf(steps);
  const order = steps.filter((step) => step.dependsOn.length === 0).map((step) => step.name);
  for (let i = 0; i < order.length; i += 1) {
    for (const name of dependents.get(order[i] as string) ?? []) {
      const left = (open.get(name) ?? 0) - 1;
      open.set(name, left);
      if (left === 0) order.push(name);
    }
  }
  return order;
}
