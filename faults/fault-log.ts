import { appendFileSync } from 'node:fs';
import type { Logger } from '@keelson/core';

/** Every word of the processes of a scenario, in the file that KEELSON_FAULT_LOG names; undefined without it. */
export function faultLog(): { readonly logger: Logger } | undefined {
  const path = process.env['KEELSON_FAULT_LOG'];
  if (path === undefined) return undefined;
  const say =
    (level: string) =>
    (fields: object, message: string): void => {
      const { error, ...rest } = fields as { readonly error?: unknown };
      const told = error instanceof Error ? { ...rest, error: error.stack } : rest;
      const line = { at: Date.now(), pid: process.pid, level, message, ...told };
      appendFileSync(path, `${JSON.stringify(line)}\n`);
    };
  return {
    logger: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
  };
}
