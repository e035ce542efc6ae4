/** Something that must hold whatever happened. */
export interface Invariant<W> {
  /** As a sentence: `each event is handled at least once`. */
  readonly name: string;
  /** What contradicts it, a sentence each; none when it holds. */
  violations(world: W): Promise<readonly string[]> | readonly string[];
}

/** Invariants did not hold: which, how, and the seed that repeats the run. */
export class BrokenInvariants extends Error {
  override readonly name = 'BrokenInvariants';
  /** The names of those that were broken. */
  readonly broken: readonly string[];

  constructor(found: ReadonlyMap<string, readonly string[]>, context: string) {
    super(
      [
        `${found.size} invariant(s) did not hold (${context}):`,
        ...[...found].flatMap(([name, all]) => [
          `- ${name}: ${all.length} violation(s)`,
          ...all.slice(0, shown).map((one) => `    ${one}`),
          ...(all.length > shown ? [`    and ${all.length - shown} more`] : []),
        ]),
      ].join('\n'),
    );
    this.broken = [...found.keys()];
  }
}

const shown = 10;

/**
 * Checks them all; rejects with {@link BrokenInvariants} naming every violation, or answers how many held.
 * `context` says what repeats the run: the seed, the crash.
 */
export async function checkInvariants<W>(
  world: W,
  invariants: readonly Invariant<W>[],
  context: string,
): Promise<number> {
  const found = new Map<string, readonly string[]>();
  for (const invariant of invariants) {
    const violations = await invariant.violations(world);
    if (violations.length > 0) found.set(invariant.name, violations);
  }
  if (found.size > 0) throw new BrokenInvariants(found, context);
  return invariants.length;
}
