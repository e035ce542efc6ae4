import type { Logger } from '../contracts/ports.ts';

const named = ['component', 'operation', 'errorCode', 'correlationId'] as const;

/** Warnings and errors on stderr, one line each, with component, operation, error code and correlation id. */
export const stderrLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields, message) => console.warn(lineOf(fields, message)),
  error: (fields, message) => console.error(lineOf(fields, message)),
};

function lineOf(fields: object, message: string): string {
  const said = fields as Readonly<Record<string, unknown>>;
  const { error } = said;
  const detail = error instanceof Error ? ` ${error.message}` : '';
  const parts = named.flatMap((name) =>
    said[name] === undefined ? [] : [`${name}=${String(said[name])}`],
  );
  return `keelson: ${message}${detail}${parts.length === 0 ? '' : ` (${parts.join(' ')})`}`;
}
