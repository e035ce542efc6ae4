import type { MachineCapacity, Resources } from '../../contracts/executor.ts';
import type { StepDefinition } from '../definition.ts';
import type { Amounts } from './queue-order.ts';

/** What a step asks for, its pipeline's defaults filled in; for each process of a gang. */
export function askedResources(step: StepDefinition, defaults: Resources | undefined): Resources {
  const asked = { ...defaults, ...step.resources };
  const own = step.run.type === 'function' || isInline(step);
  // A task that says nothing is one that keeps a core busy.
  return asked.cpuCores === undefined && !own ? { ...asked, cpuCores: 1 } : asked;
}

function isInline({ run }: StepDefinition): boolean {
  return run.type === 'module' && run.isolation === 'inline';
}

/** Whether there is anything to reserve. */
export function asksForRoom({ cpuCores, memoryBytes, storageBytes, gpuCount }: Resources): boolean {
  return [cpuCores, memoryBytes, storageBytes, gpuCount].some((amount) => (amount ?? 0) > 0);
}

/** How many processes a step has. */
export function processesOf({ distributed }: StepDefinition): number {
  return distributed === undefined ? 1 : distributed.nodes * distributed.processesPerNode;
}

/** What is reserved for so many processes. */
export function amountsOf(resources: Resources, processes: number): Amounts {
  return {
    cpuMilli: Math.ceil((resources.cpuCores ?? 0) * 1000) * processes,
    memoryBytes: (resources.memoryBytes ?? 0) * processes,
    storageBytes: (resources.storageBytes ?? 0) * processes,
    devices: (resources.gpuCount ?? 0) * processes,
  };
}

/** What machines have together. */
export function totalOf(machines: readonly MachineCapacity[]): Amounts {
  const sum = (of: (machine: MachineCapacity) => number): number =>
    machines.reduce((total, machine) => total + of(machine), 0);
  const storage = machines.some(({ storageBytes }) => storageBytes !== undefined);
  return {
    cpuMilli: Math.floor(sum(({ cpuCores }) => cpuCores * 1000)),
    memoryBytes: sum(({ memoryBytes }) => memoryBytes),
    // Where it cannot be told it is not held against anybody.
    storageBytes: storage ? sum((machine) => machine.storageBytes ?? 0) : Number.MAX_SAFE_INTEGER,
    devices: sum(({ devices }) => devices.length),
  };
}

/** Why something can never be held. */
export interface NeverFits {
  readonly reason: string;
  readonly resource: string;
  readonly requested: number;
  readonly available: number;
}

/**
 * Why no machine could ever hold one process of the step, or all of them together not all of its processes;
 * undefined when it could.
 */
export function neverFits(
  step: StepDefinition,
  resources: Resources,
  pool: string,
  machines: readonly MachineCapacity[],
): NeverFits | undefined {
  const selected = machines.filter((machine) => isSelected(machine, resources));
  if (selected.length === 0) {
    const wanted = Object.entries(resources.nodeSelector ?? {}).map(([k, v]) => `${k}=${v}`);
    const reason = `step ${step.name} asks for a machine with ${wanted.join(', ')}, and ${pool} has none`;
    return { reason, resource: 'node', requested: 1, available: 0 };
  }
  for (const [resource, asked, had, show] of limitsOf(resources)) {
    if (asked === undefined || asked <= 0) continue;
    const most = Math.max(...selected.map(had));
    if (asked <= most) continue;
    const reason = `step ${step.name} needs ${show(asked)}, and the largest machine of ${pool} has ${show(most)}`;
    return { reason, resource, requested: asked, available: most };
  }
  const processes = processesOf(step);
  const whole = amountsOf(resources, processes);
  const total = totalOf(selected);
  for (const [name, amount] of Object.entries(whole)) {
    const most = total[name] ?? 0;
    if (amount <= most) continue;
    const reason = `the ${processes} processes of step ${step.name} need ${name} ${amount} together, and ${pool} has ${most}`;
    return { reason, resource: name, requested: amount, available: most };
  }
  return undefined;
}

/** Whether a machine is one that a step may run on. */
export function isSelected({ labels }: MachineCapacity, { nodeSelector }: Resources): boolean {
  return Object.entries(nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
}

type Limit = readonly [
  string,
  number | undefined,
  (machine: MachineCapacity) => number,
  (amount: number) => string,
];

function limitsOf(resources: Resources): readonly Limit[] {
  const { cpuCores, memoryBytes, storageBytes, gpuCount, gpuType } = resources;
  return [
    ['cpu', cpuCores, (machine) => machine.cpuCores, (cores) => `${cores} cores`],
    ['memory', memoryBytes, (machine) => machine.memoryBytes, (n) => `${bytesText(n)} of memory`],
    [
      'storage',
      storageBytes,
      (machine) => machine.storageBytes ?? Number.MAX_SAFE_INTEGER,
      (n) => `${bytesText(n)} of storage`,
    ],
    [
      'gpu',
      gpuCount,
      ({ devices }) => devices.filter(({ type }) => (gpuType ?? type) === type).length,
      (n) => `${n} GPUs${gpuType === undefined ? '' : ` of type ${gpuType}`}`,
    ],
  ];
}

/** An amount of bytes as people read it. */
export function bytesText(bytes: number): string {
  if (bytes < 2 ** 20) return `${bytes} bytes`;
  if (bytes < 2 ** 30) return `${+(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${+(bytes / 2 ** 30).toFixed(1)} GiB`;
}
