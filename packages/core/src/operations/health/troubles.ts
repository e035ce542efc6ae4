import type { Clock, Ids } from '../../contracts/ports.ts';

/** A fault that begins so long after the last one is a trouble of its own. */
const apartMs = 60_000;

/** Which faults of this process belong together: what begins within a minute of another shares its correlation. */
export class Troubles {
  readonly #ids: Ids;
  readonly #clock: Clock;
  readonly #open = new Map<string, string>();
  #last: { readonly correlationId: string; readonly at: number } | undefined;

  constructor(ids: Ids, clock: Clock) {
    this.#ids = ids;
    this.#clock = clock;
  }

  /** The correlation of a check's fault, which begins now unless it has begun. */
  begin(check: string): string {
    const open = this.#open.get(check);
    if (open !== undefined) return open;
    const now = this.#clock.now();
    const others = [...this.#open.values()];
    const last = this.#last;
    const joins =
      last !== undefined && now - last.at <= apartMs && others.includes(last.correlationId);
    const correlationId = joins ? last.correlationId : this.#ids.next();
    this.#last = { correlationId, at: now };
    this.#open.set(check, correlationId);
    return correlationId;
  }

  /** The fault is over; answers its correlation, for what tells of its end. */
  end(check: string): string | undefined {
    const correlationId = this.#open.get(check);
    this.#open.delete(check);
    return correlationId;
  }
}
