/** A step that waits for room, as far as its place in the queue goes. */
export interface Waiting {
  readonly id: string;
  /** Higher ones come first. */
  readonly priority: number;
  /** Whose it is. */
  readonly user: string;
  /** Since when it could start; also breaks ties. */
  readonly since: number;
  /** What it asks of its pool. */
  readonly asks: Amounts;
  readonly pool: string;
}

/** Amounts of what a pool has, by name: `cpuMilli`, `memoryBytes`, `storageBytes`, `devices`. */
export type Amounts = Readonly<Record<string, number>>;

/** What a pool has left, and what its users have of it. */
export interface PoolState {
  readonly free: Amounts;
  /** The share of the pool that each user has in use, from 0 to 1: the greatest over its resources. */
  readonly shares: ReadonlyMap<string, number>;
}

/** A step's place: whether it may start, and if not, why. */
export interface Place {
  readonly id: string;
  readonly starts: boolean;
  /** What is short, where it does not start. */
  readonly short?: { readonly resource: string; readonly asks: number; readonly free: number };
  /** It would fit, but somebody who has waited long needs the room. */
  readonly heldBackFor?: string;
}

/** How the queue is ordered. */
export interface QueueRules {
  readonly now: number;
  /** When somebody has waited so long for room, those behind that would take it are held back. */
  readonly holdBackMs: number;
}

/**
 * The queue, in its order, and who of it may start now: by priority, then by what their users have (who has the
 * least comes first, what was given in this round included), then by age. Who does not fit lets others pass
 * until it has waited for `holdBackMs`; from then on nothing behind it starts in its pool, so that its room
 * comes together. A pure function of its arguments.
 */
export function orderQueue(
  waiting: readonly Waiting[],
  pools: ReadonlyMap<string, PoolState>,
  rules: QueueRules,
): readonly Place[] {
  const free = new Map([...pools].map(([name, { free: left }]) => [name, { ...left }]));
  const shares = new Map([...pools].map(([name, pool]) => [name, new Map(pool.shares)] as const));
  const heldFor = new Map<string, string>();
  const places: Place[] = [];
  const rest = new Set(waiting);
  while (rest.size > 0) {
    const next = first(rest, shares);
    rest.delete(next);
    const left = free.get(next.pool);
    const blocker = heldFor.get(next.pool);
    const short = left === undefined ? undefined : shortage(next.asks, left);
    if (left === undefined || (short === undefined && blocker === undefined)) {
      if (left !== undefined) take(next, left, pools.get(next.pool), shares.get(next.pool));
      places.push({ id: next.id, starts: true });
    } else if (short === undefined && blocker !== undefined) {
      places.push({ id: next.id, starts: false, heldBackFor: blocker });
    } else {
      const waited = rules.now - next.since;
      if (waited >= rules.holdBackMs && blocker === undefined) heldFor.set(next.pool, next.id);
      places.push({ id: next.id, starts: false, ...(short === undefined ? {} : { short }) });
    }
  }
  return places;
}

function first(
  rest: ReadonlySet<Waiting>,
  shares: ReadonlyMap<string, ReadonlyMap<string, number>>,
): Waiting {
  let best: Waiting | undefined;
  for (const each of rest) {
    if (best === undefined || comes(each, best, shares) < 0) best = each;
  }
  return best as Waiting;
}

function comes(
  a: Waiting,
  b: Waiting,
  shares: ReadonlyMap<string, ReadonlyMap<string, number>>,
): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  const share = (each: Waiting): number => shares.get(each.pool)?.get(each.user) ?? 0;
  const difference = share(a) - share(b);
  if (Math.abs(difference) > 1e-9) return difference;
  if (a.since !== b.since) return a.since - b.since;
  return a.id < b.id ? -1 : 1;
}

/** What of it there is not enough; undefined when it fits. */
export function shortage(asks: Amounts, free: Amounts): Place['short'] {
  for (const [resource, amount] of Object.entries(asks)) {
    const left = free[resource] ?? 0;
    if (amount > 0 && amount > left) return { resource, asks: amount, free: left };
  }
  return undefined;
}

function take(
  { asks, user }: Waiting,
  left: Record<string, number>,
  pool: PoolState | undefined,
  shares: Map<string, number> | undefined,
): void {
  let most = 0;
  for (const [resource, amount] of Object.entries(asks)) {
    const had = pool?.free[resource] ?? 0;
    if (had > 0) most = Math.max(most, amount / had);
    left[resource] = (left[resource] ?? 0) - amount;
  }
  shares?.set(user, (shares.get(user) ?? 0) + most);
}
