import type { Finding, FindingName } from './finding.ts';

/** Counts rows by version and by what was found in them. */
export class FindingCounts {
  readonly #counts = new Map<string, Map<FindingName, number>>();

  /** Notes what was found in an answer of `rowCount` rows: what is of the whole counts as all of them. */
  note(version: string, findings: readonly Finding[], rowCount: number): void {
    let counts = this.#counts.get(version);
    if (counts === undefined) {
      counts = new Map();
      this.#counts.set(version, counts);
    }
    for (const { name, rows } of findings)
      counts.set(name, (counts.get(name) ?? 0) + (rows.length === 0 ? rowCount : rows.length));
  }

  *[Symbol.iterator](): Iterator<readonly [version: string, name: FindingName, rows: number]> {
    for (const [version, counts] of this.#counts)
      for (const [name, rows] of counts) yield [version, name, rows];
  }
}
