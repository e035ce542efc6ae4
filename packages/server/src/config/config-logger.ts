import type { Logger } from '@keelson/core';
import type { KeelsonConfig, LogLevel } from './keelson-config.ts';

/** A logger whose level may change while it is used. */
export interface ConfigLogger extends Logger {
  configure(log: KeelsonConfig['log']): void;
}

const order: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
const named = ['component', 'operation', 'errorCode', 'correlationId', 'url'] as const;

/** Logs lines of text or JSON, from a level on. */
export function createConfigLogger(
  log: KeelsonConfig['log'],
  write: (line: string) => void,
): ConfigLogger {
  let { level, format } = log;
  const at =
    (of: LogLevel) =>
    (fields: object, message: string): void => {
      if (order.indexOf(of) < order.indexOf(level)) return;
      write(format === 'json' ? jsonLine(of, fields, message) : textLine(of, fields, message));
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    configure(next) {
      ({ level, format } = next);
    },
  };
}

function textLine(level: LogLevel, fields: object, message: string): string {
  const said = fields as Readonly<Record<string, unknown>>;
  const { error } = said;
  const detail = error instanceof Error ? ` ${error.message}` : '';
  const parts = named.flatMap((name) =>
    said[name] === undefined ? [] : [`${name}=${String(said[name])}`],
  );
  const more = parts.length === 0 ? '' : ` (${parts.join(' ')})`;
  return `${new Date().toISOString()} ${level} ${message}${detail}${more}\n`;
}

function jsonLine(level: LogLevel, fields: object, message: string): string {
  const entry = { time: new Date().toISOString(), level, message, ...fields };
  try {
    return `${JSON.stringify(entry, plain)}\n`;
  } catch {
    // Circles and the like: the message is what matters.
    return `${JSON.stringify({ time: entry.time, level, message })}\n`;
  }
}

function plain(_: string, value: unknown): unknown {
  if (value instanceof Error) return { name: value.name, message: value.message };
  return typeof value === 'bigint' ? String(value) : value;
}
