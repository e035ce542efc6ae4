/** What answer checks can find. The first four contradict the signature or the configured ranges. */
export type FindingName =
  | 'datatype'
  | 'shape'
  | 'not_finite'
  | 'out_of_range'
  | 'low_confidence'
  | 'anomalous_input';

/** Something found in a request or its answer. */
export interface Finding {
  readonly name: FindingName;
  /** The output, or the input's column. */
  readonly of: string;
  /** The rows that it was found in; empty where it is of the whole. */
  readonly rows: readonly number[];
  /** What was found and what was expected. */
  readonly message: string;
  /** Whether what was found is no answer at all, such as a missing output: it never goes out. */
  readonly isBroken?: true;
}

const maxRowsTold = 20;

/** The names of what was found, each once. */
export function namesOf(findings: readonly Finding[]): FindingName[] {
  return [...new Set(findings.map(({ name }) => name))];
}

/** The names of what was found in a row. */
export function namesOfRow(findings: readonly Finding[], row: number): FindingName[] {
  return namesOf(findings.filter(({ rows }) => rows.length === 0 || rows.includes(row)));
}

/** What was found, as parameters of an answer: `flags` has the names, and each name says where. */
export function parametersOf(findings: readonly Finding[]): Record<string, string> {
  const names = namesOf(findings);
  const places = (name: FindingName): string =>
    findings
      .filter((finding) => finding.name === name)
      .map(({ of, rows }) => `${of}${rowsText(rows)}`)
      .join('; ');
  return {
    flags: names.join(','),
    ...Object.fromEntries(names.map((name) => [name, places(name)])),
  };
}

function rowsText(rows: readonly number[]): string {
  if (rows.length === 0) return '';
  const more = rows.length > maxRowsTold ? ', …' : '';
  return `: ${rows.length === 1 ? 'row' : 'rows'} ${rows.slice(0, maxRowsTold).join(', ')}${more}`;
}
