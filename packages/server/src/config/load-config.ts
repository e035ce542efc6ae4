import { resolve } from 'node:path';
import type { EffectiveConfig } from './effective-config.ts';

/** Where a configuration is looked for, and what outranks it. */
export interface LoadConfigOptions {
  /** Where a file is looked for, and where relative paths begin without one; the working directory when left out. */
  readonly cwd?: string;
  /** The process's own when left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What outranks all else, by dotted key. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
}

/** The configuration in force here. */
export async function loadConfig(options: LoadConfigOptions = {}): Promise<EffectiveConfig> {
  const { cwd = process.cwd(), env = process.env, flags = {} } = options;
  const dir = flags['dir'] ?? env['KEELSON_DIR'] ?? '.keelson';
  const workspace = flags['workspace'] ?? env['KEELSON_WORKSPACE'] ?? 'default';
  return { values: { dir: resolve(cwd, dir), workspace }, sources: {}, file: undefined, root: cwd };
}
