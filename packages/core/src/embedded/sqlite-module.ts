import process from 'node:process';

type SqliteModule = typeof import('node:sqlite');

/**
 * `node:sqlite`, loaded at the first use. Node 22 announces with a warning that it is experimental; we
 * depend on it knowingly, so that one warning is left out and every other one passes.
 */
export function loadSqlite(): SqliteModule {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]): void => {
    const text = typeof warning === 'string' ? warning : warning.message;
    if (rest[0] === 'ExperimentalWarning' && text.includes('SQLite')) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
  try {
    // Synchronous, so that nobody else's warning can fall into the gap.
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}
