import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { decodeRows, encodeRows } from '../../sql/series-rows.ts';

/** One figure of one day. */
export interface DailyFigure {
  /** When the day begins, of UTC, epoch ms. */
  readonly at: number;
  /** Such as `latency_p99`, `error_rate`; of features `entries`, `missing`, `mean`, `deviation`. */
  readonly name: string;
  readonly versionId?: string;
  readonly feature?: string;
  /** Of how many predictions. */
  readonly count: number;
  readonly value: number;
}

/**
 * Figures as a columnar file: the bytes of a batch of rows (a header with a checksum, a directory in JSON, then number columns as
 * little-endian doubles and text columns as distinct texts with an index), the same as stores keep.
 */
export function encodeSummary(figures: readonly DailyFigure[]): Uint8Array {
  const text = (of: (figure: DailyFigure) => string | undefined) => ({
    type: 'text' as const,
    values: figures.map((figure) => of(figure) ?? null),
  });
  const number = (of: (figure: DailyFigure) => number) => ({
    type: 'number' as const,
    values: Float64Array.from(figures, of),
  });
  return encodeRows(
    Float64Array.from(figures, ({ at }) => at),
    {
      name: text(({ name }) => name),
      versionId: text(({ versionId }) => versionId),
      feature: text(({ feature }) => feature),
      count: number(({ count }) => count),
      value: number(({ value }) => value),
    },
  );
}

/** The figures of a file. CORRUPT where it is none, or damaged. */
function decodeSummary(bytes: Uint8Array): readonly DailyFigure[] {
  const { at, columns } = decodeRows(bytes);
  const { name, versionId, feature, count, value } = columns;
  if (name?.type !== 'text' || count?.type !== 'number' || value?.type !== 'number') {
    throw new KeelsonError(
      'CORRUPT',
      'A file of daily figures has not the columns that it should.',
    );
  }
  return Array.from(at, (day, i) => {
    const [version, of] = [versionId?.values[i], feature?.values[i]];
    return {
      ...{ at: day, name: String(name.values[i]) },
      ...(typeof version === 'string' ? { versionId: version } : {}),
      ...(typeof of === 'string' ? { feature: of } : {}),
      ...{ count: count.values[i] as number, value: value.values[i] as number },
    };
  });
}

/** Reads a file out of the artifact store. */
export async function readSummary(
  { artifacts }: Pick<Scope, 'artifacts'>,
  sha256: string,
): Promise<readonly DailyFigure[]> {
  const parts: Uint8Array[] = [];
  for await (const part of await artifacts.open(sha256)) parts.push(part);
  return decodeSummary(Buffer.concat(parts));
}
