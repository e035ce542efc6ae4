import { KeelsonError } from '../errors.ts';

/** Refuses, as INVALID and by name, options that are none: what is mistyped must not pass unheard. */
export function assertKnown(options: object, known: readonly string[], where: string): void {
  const unknown = Object.keys(options).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  throw new KeelsonError(
    'INVALID',
    `${where}: there is no option ${unknown.map((key) => JSON.stringify(key)).join(', ')}; there are ${known.join(', ')}.`,
    { details: { unknown } },
  );
}
