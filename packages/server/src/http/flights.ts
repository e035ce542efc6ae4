/** The exchanges that are under way. */
export class Flights {
  readonly #open = new Set<{ readonly breakOff: () => void }>();
  #waiting: (() => void)[] = [];

  /** One more, with what breaks it off; call what is given when it has ended. Twice is fine. */
  begin(breakOff: () => void): () => void {
    const flight = { breakOff };
    this.#open.add(flight);
    return () => {
      if (!this.#open.delete(flight) || this.#open.size > 0) return;
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }

  /** Resolves when none is left; those that are after `timeoutMs` are broken off. */
  async landed(timeoutMs: number): Promise<void> {
    if (this.#open.size === 0) return;
    const timer = setTimeout(() => {
      for (const { breakOff } of [...this.#open]) breakOff();
    }, timeoutMs);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    clearTimeout(timer);
  }
}
