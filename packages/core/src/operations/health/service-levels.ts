import type { ServicePart } from '../../contracts/caretaker.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { commitChanges } from '../decide-and-commit.ts';
import { everyRecord } from '../every-record.ts';
import type { WaitingWrites } from './waiting-writes.ts';

/** How available a part was, as its probes say, and how much of what it may fail is left. */
export interface ServiceLevel {
  readonly part: ServicePart;
  /** Share of probes that must be good. */
  readonly goal: number;
  readonly probes: number;
  readonly bad: number;
  /** Share of good probes; undefined where there was none. */
  readonly availability: number | undefined;
  /** Of the failures that the goal allows for so many probes, the share that is left; below 0 when it is missed. */
  readonly errorBudgetLeft: number | undefined;
}

const goals: Readonly<Record<ServicePart, number>> = {
  tracking: 0.999,
  registry: 0.9995,
  pipelines: 0.995,
  serving: 0.9999,
  monitoring: 0.999,
};
const dayMs = 86_400_000;
const kind = 'probe_window';

type LevelScope = Pick<Scope, 'metadata' | 'workspace' | 'principal'>;

/** Counts probes by the day in records that all processes adjust; what cannot be counted now is counted later. */
export class ServiceLevels {
  readonly #scope: LevelScope;
  readonly #writes: WaitingWrites;
  readonly #waiting = new Map<
    string,
    { part: ServicePart; day: number; good: number; bad: number }
  >();

  constructor(scope: LevelScope, writes: WaitingWrites) {
    this.#scope = scope;
    this.#writes = writes;
  }

  /** Notes one probe. */
  note(part: ServicePart, good: boolean, at: number): void {
    const day = at - (at % dayMs);
    const key = `${part}:${day}`;
    let count = this.#waiting.get(key);
    if (count === undefined) {
      count = { part, day, good: 0, bad: 0 };
      this.#waiting.set(key, count);
      // One write for however many probes come until the store takes it.
      this.#writes.add(() => this.#count(key));
    }
    count[good ? 'good' : 'bad'] += 1;
  }

  async #count(key: string): Promise<void> {
    const count = this.#waiting.get(key);
    if (count === undefined) return;
    const { part, day, good, bad } = count;
    const id = `probes:${key}`;
    try {
      const columns = { part, day, good: 0, bad: 0 };
      await commitChanges(this.#scope, [{ op: 'create', kind, id, columns }]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
    // From here on new probes are a new count.
    this.#waiting.delete(key);
    const adjust = (column: string, by: number): Change => ({ op: 'adjust', kind, id, column, by });
    try {
      await commitChanges(this.#scope, [adjust('good', good), adjust('bad', bad)]);
    } catch (error) {
      // Of a commit whose outcome is unknown it is better to count a probe twice than never.
      this.#restore(key, count);
      throw error;
    }
  }

  #restore(
    key: string,
    count: { part: ServicePart; day: number; good: number; bad: number },
  ): void {
    const since = this.#waiting.get(key);
    this.#waiting.set(key, {
      ...count,
      good: count.good + (since?.good ?? 0),
      bad: count.bad + (since?.bad ?? 0),
    });
  }

  /** All five parts, of the days since then. */
  async read(since: number): Promise<readonly ServiceLevel[]> {
    const sums = new Map<string, { good: number; bad: number }>();
    const from = since - (since % dayMs);
    const where = {
      op: 'compare',
      left: { from: 'column', name: 'day' },
      cmp: '>=',
      value: from,
    } as const;
    for await (const { columns } of everyRecord(this.#scope, kind, { where })) {
      const sum = sums.get(columns['part'] as string) ?? { good: 0, bad: 0 };
      sum.good += columns['good'] as number;
      sum.bad += columns['bad'] as number;
      sums.set(columns['part'] as string, sum);
    }
    return Object.entries(goals).map(([part, goal]) =>
      levelOf(part as ServicePart, goal, sums.get(part)),
    );
  }
}

/** The level of a part with so many probes. */
export function levelOf(
  part: ServicePart,
  goal: number,
  { good, bad }: { readonly good: number; readonly bad: number } = { good: 0, bad: 0 },
): ServiceLevel {
  const probes = good + bad;
  if (probes === 0) {
    return { part, goal, probes, bad, availability: undefined, errorBudgetLeft: undefined };
  }
  const errorBudgetLeft = 1 - bad / ((1 - goal) * probes);
  return { part, goal, probes, bad, availability: good / probes, errorBudgetLeft };
}
