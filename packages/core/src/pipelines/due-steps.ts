import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { column } from './execution-records.ts';
import { dueOrder, type LeasedStep, type StepLeases } from './steps/step-leases.ts';

/** How many steps are looked up at once. */
const listed = 100;
/** How long what was looked up is good for. */
const listMs = 500;
/** Asked for beside those that there is room for: other processes take from the same. */
const spare = 8;

/** Steps in their order, as they were due a moment ago. */
interface DueList {
  ids: readonly string[];
  readonly until: number;
}

/**
 * Claims steps that are due. Where many are, one look lists those that come first, and the next claims ask for
 * them by id: a claim by condition alone sorts all that are due, however few it takes. A step of higher priority
 * that comes due meanwhile waits half a second longer at most.
 */
export class DueSteps {
  readonly #scope: Scope;
  readonly #leases: StepLeases;
  readonly #lists = new Map<string, DueList>();
  /** Where claims have found as many as they asked for: key → until when another such is soon enough for a look. */
  readonly #plenty = new Map<string, number>();

  constructor(scope: Scope, leases: StepLeases) {
    this.#scope = scope;
    this.#leases = leases;
  }

  /** Takes up to `limit` of the steps that match; `of` names whose they are and where they run. */
  async take(
    where: readonly Predicate[],
    limit: number,
    of: string,
  ): Promise<readonly LeasedStep[]> {
    const taken = await this.#takeListed(where, limit, of);
    const wanted = limit - taken.length;
    if (wanted === 0) return taken;
    const others = await this.#leases.take(where, wanted);
    if (others.length === wanted) await this.#look(where, of);
    return [...taken, ...others];
  }

  async #takeListed(
    where: readonly Predicate[],
    limit: number,
    of: string,
  ): Promise<readonly LeasedStep[]> {
    const list = this.#lists.get(of);
    if (list === undefined) return [];
    const ids = list.ids.slice(0, 2 * limit + spare);
    if (ids.length === 0 || list.until <= performance.now()) {
      this.#lists.delete(of);
      return [];
    }
    const among: Predicate = { op: 'in', left: column('id'), values: ids };
    const taken = await this.#leases.take([...where, among], limit);
    if (taken.length > 0) this.#plenty.set(of, performance.now() + listMs);
    const mine = new Set(taken.map(({ state }) => state.id));
    // Those before the last that was taken are somebody else's, and so are all where there were too few.
    const last = taken.length < limit ? ids.length - 1 : ids.findLastIndex((id) => mine.has(id));
    const gone = new Set(ids.slice(0, last + 1));
    list.ids = list.ids.filter((id) => !gone.has(id));
    return taken;
  }

  /** Lists what comes next, where claims follow each other so quickly that it will be asked for soon. */
  async #look(where: readonly Predicate[], of: string): Promise<void> {
    const now = performance.now();
    const soon = (this.#plenty.get(of) ?? 0) > now;
    for (const [key, until] of this.#plenty) if (until <= now) this.#plenty.delete(key);
    this.#plenty.set(of, now + listMs);
    if (!soon) return;
    const { metadata, workspace } = this.#scope;
    const { records } = await metadata.query(workspace, 'step_execution', {
      where: { op: 'and', of: where },
      orderBy: dueOrder,
      limit: listed,
    });
    const own = new Set([...this.#leases].map(({ state }) => state.id));
    const ids = records.map(({ id }) => id).filter((id) => !own.has(id));
    this.#lists.set(of, { ids, until: now + listMs });
  }
}
