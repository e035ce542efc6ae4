import { isKeelsonError } from '@keelson/core';
import type { ImportNotes } from './import-notes.ts';

/** A text that fits: shortened between characters, without what no store keeps. */
export function fitText(text: string, most: number): string {
  const kept = text.replaceAll('\0', '').toWellFormed();
  return kept.length <= most ? kept : kept.slice(0, most - 1).toWellFormed();
}

/** The tags that fit; at most so many that are not MLflow's own. What is left out is told. */
export function fitTags(
  tags: Readonly<Record<string, string>>,
  most: number,
  leftOut: (key: string, why: string) => void,
): Readonly<Record<string, string>> {
  const fit: [string, string][] = [];
  let own = 0;
  for (const [key, value] of Object.entries(tags)) {
    const isOwn = !key.startsWith('mlflow.');
    if (key === '' || key.length > 250) leftOut(key.slice(0, 100), 'a key has 1 to 250 characters');
    else if (!isStorable(key) || !isStorable(value))
      leftOut(key, 'it is no text that is kept (NUL)');
    else if (isOwn && own === most) leftOut(key, `at most ${most} tags are kept`);
    else {
      own += isOwn ? 1 : 0;
      fit.push([key, value]);
    }
  }
  return Object.fromEntries(fit);
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** Whether the platform has refused what it was given, rather than failed. */
export function isRefused(error: unknown): boolean {
  return isKeelsonError(error, 'INVALID', 'CONFLICT', 'NOT_FOUND', 'CORRUPT');
}

/** Does the work; where it is refused that is told, and answered with false. */
export async function skipped(
  notes: ImportNotes,
  what: string,
  work: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!isRefused(error)) throw error;
    notes.skip(what, (error as Error).message);
    return false;
  }
}
