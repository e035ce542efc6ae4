/** What competes: each answers what it measured. */
export type Contenders<Name extends string, T> = Readonly<Record<Name, () => Promise<T>>>;

/**
 * Measures all contenders in every round, in an order that turns, so that what slows the machine for a
 * while slows all of them. One more round comes before, to warm up the compiler and the page cache; a
 * single round stands alone.
 */
export async function inTurns<Name extends string, T>(
  rounds: number,
  contenders: Contenders<Name, T>,
  onRound: (round: number) => void = () => undefined,
): Promise<Readonly<Record<Name, readonly T[]>>> {
  const names = Object.keys(contenders) as Name[];
  const measured = new Map(names.map((name) => [name, [] as T[]]));
  for (let round = rounds > 1 ? 0 : 1; round <= rounds; round += 1) {
    onRound(round);
    for (let i = 0; i < names.length; i += 1) {
      const name = names[(i + round) % names.length] as Name;
      const value = await contenders[name]();
      if (round > 0) measured.get(name)?.push(value);
    }
  }
  return Object.fromEntries(measured) as Record<Name, T[]>;
}

/** How long `work` takes, in ms. */
export async function elapsedMs(work: () => unknown): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
