import { KeelsonError } from '../../errors.ts';

/** CORRUPT: the file is damaged. `what` goes on after the file's name. */
export function damaged(file: string, what: string, cause?: unknown): KeelsonError {
  return fault('CORRUPT', file, what, cause);
}

/** INVALID: the file is whole, and is not one that can be taken. */
export function refused(file: string, what: string, cause?: unknown): KeelsonError {
  return fault('INVALID', file, what, cause);
}

function fault(
  code: 'CORRUPT' | 'INVALID',
  file: string,
  what: string,
  cause: unknown,
): KeelsonError {
  return new KeelsonError(code, `Model file ${shown(file)} ${what}.`, {
    details: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A text of a file as it can stand in a message. */
function shown(text: string): string {
  const cut = text.length > 120 ? `${text.slice(0, 120).toWellFormed()}…` : text;
  return /^[\w./@+-]+$/.test(cut) ? cut : JSON.stringify(cut);
}
