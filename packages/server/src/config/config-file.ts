import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KeelsonError } from '@keelson/core';

const names = [
  'keelson.config.ts',
  'keelson.config.mts',
  'keelson.config.js',
  'keelson.config.mjs',
  'keelson.config.json',
  'keelson.config.yaml',
  'keelson.config.yml',
];

/**
 * The configuration file of a directory or of the nearest one above it that has one; undefined where there is none.
 * CONFLICT where a directory has several.
 */
export function findConfigFile(cwd: string): string | undefined {
  for (let at = resolve(cwd); ; at = dirname(at)) {
    const found = names.filter((name) => existsSync(join(at, name)));
    if (found.length > 1) {
      throw new KeelsonError(
        'CONFLICT',
        `${at} has ${found.join(' and ')}; keep one of them, or name one with --config.`,
        { details: { dir: at, files: found } },
      );
    }
    if (found[0] !== undefined) return join(at, found[0]);
    if (at === dirname(at)) return undefined;
  }
}

/** What a configuration file holds. NOT_FOUND for none, INVALID, naming it, for one that cannot be read. */
export async function readConfigFile(file: string): Promise<unknown> {
  try {
    if (/\.m?[jt]s$/.test(file)) {
      // Read anew when it has changed: a process that runs is told to look again.
      const url = pathToFileURL(file);
      url.searchParams.set('at', String(statSync(file).mtimeMs));
      return ((await import(url.href)) as { readonly default?: unknown }).default;
    }
    const content = await readFile(file, 'utf8');
    if (file.endsWith('.json')) return JSON.parse(content);
    const { parse } = await import('yaml');
    return parse(content) ?? {};
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new KeelsonError(
        'NOT_FOUND',
        `There is no configuration ${file}. \`keelson init\` writes one.`,
        { cause, details: { file } },
      );
    }
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeelsonError('INVALID', `${file} cannot be read: ${why}`, {
      cause,
      details: { file },
    });
  }
}
