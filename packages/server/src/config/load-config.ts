import { resolve } from 'node:path';
import { KeelsonError, type PlatformOptions } from '@keelson/core';
import { nearest } from '../cli/nearest.ts';
import { findConfigFile, readConfigFile } from './config-file.ts';
import { type ConfigKey, configKeys, shownValue, variableOf } from './config-keys.ts';
import type { EffectiveConfig } from './effective-config.ts';
import type { KeelsonConfig } from './keelson-config.ts';

/** Where a configuration is looked for, and what outranks it. */
export interface LoadConfigOptions {
  /** Where a file is looked for (there, then in the directories above); the working directory when left out. */
  readonly cwd?: string;
  /** This file, and none that is found. */
  readonly file?: string;
  /** The process's own when left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What outranks all else, by dotted key; undefined for what was not said. */
  readonly overrides?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** How an override is called in messages; `--set server.port` when left out. */
  readonly nameOf?: (key: string) => string;
}

/** What somebody said of a key, and who. */
interface Said {
  readonly value: unknown;
  readonly source: string;
  /** How it is said rightly there. */
  readonly example: (key: string, declared: ConfigKey) => string;
}

/**
 * The configuration in force: defaults, then the file, then `KEELSON_*`, then overrides. INVALID, naming the key, where
 * it came from and an example, for a key that is unknown or has no right value.
 */
export async function loadConfig(options: LoadConfigOptions = {}): Promise<EffectiveConfig> {
  const { cwd = process.cwd(), env = process.env } = options;
  const named = options.file ?? (env['KEELSON_CONFIG'] || undefined);
  const file = named === undefined ? findConfigFile(cwd) : resolve(cwd, named);
  const content = file === undefined ? {} : await readConfigFile(file);
  const { said: inFile, platform } = file === undefined ? nothing : sayings(file, content);
  const nameOf = options.nameOf ?? ((key) => `--set ${key}`);
  const root = file === undefined ? resolve(cwd) : resolve(file, '..');
  const layers: ReadonlyMap<string, Said>[] = [
    inFile,
    fromEnvironment(env),
    fromOverrides(options.overrides ?? {}, nameOf),
  ];
  const sources: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  for (const [key, declared] of Object.entries(configKeys)) {
    const said = layers.map((layer) => layer.get(key)).findLast((one) => one !== undefined);
    sources[key] = said?.source ?? 'default';
    const value = said === undefined ? declared.default : checked(key, declared, said);
    // What stands in a file is meant from where the file lies.
    const from = said === undefined || said === inFile.get(key) ? root : cwd;
    place(
      values,
      key,
      declared.path === true && typeof value === 'string' ? resolve(from, value) : value,
    );
  }
  const config = { ...values, ...(platform === undefined ? {} : { platform }) };
  return { values: config as unknown as KeelsonConfig, sources, file, root };
}

const nothing = { said: new Map<string, Said>(), platform: undefined };

/** What a file says, flat. */
function sayings(
  file: string,
  content: unknown,
): { readonly said: ReadonlyMap<string, Said>; readonly platform: PlatformOptions | undefined } {
  const said = new Map<string, Said>();
  if (!isObject(content)) {
    const must = /\.m?[jt]s$/.test(file)
      ? 'export default an object, such as export default { server: { port: 8080 } }'
      : 'hold an object';
    throw new KeelsonError('INVALID', `${file} must ${must}.`, { details: { file } });
  }
  const { platform, ...rest } = content;
  const walk = (at: Readonly<Record<string, unknown>>, before: string): void => {
    for (const [name, value] of Object.entries(at)) {
      const key = before + name;
      if (key === '$schema' || value === undefined) continue;
      if (key in configKeys) said.set(key, { value, source: file, example: exampleInFile });
      else if (isObject(value) && isGroup(key)) walk(value, `${key}.`);
      else throw unknownKey(key, file);
    }
  };
  walk(rest, '');
  return { said, platform: platform as PlatformOptions | undefined };
}

function fromEnvironment(env: Readonly<Record<string, string | undefined>>): Map<string, Said> {
  const said = new Map<string, Said>();
  for (const [key, declared] of Object.entries(configKeys)) {
    const name = variableOf(key);
    const value = env[name];
    if (value === undefined || value === '') continue;
    const example = (): string => `${name}=${declared.example}`;
    said.set(key, { value: fromText(declared, value), source: name, example });
  }
  return said;
}

function fromOverrides(
  overrides: Readonly<Record<string, string | number | boolean | undefined>>,
  nameOf: (key: string) => string,
): Map<string, Said> {
  const said = new Map<string, Said>();
  for (const [key, value] of Object.entries(overrides)) {
    if (value === undefined) continue;
    const declared = configKeys[key];
    const source = nameOf(key);
    if (declared === undefined) throw unknownKey(key, source);
    const example = (): string =>
      source.startsWith('--set ')
        ? `${source}=${declared.example}`
        : `${source} ${declared.example}`;
    const read = typeof value === 'string' ? fromText(declared, value) : value;
    said.set(key, { value: read, source, example });
  }
  return said;
}

/** A text as its kind has it; what is none of it stays, and is refused with the others. */
function fromText({ kind }: ConfigKey, value: string): unknown {
  if (kind === 'integer') return /^-?\d+$/.test(value.trim()) ? Number(value) : value;
  if (kind === 'text') return value;
  if (/^(true|1|yes|on)$/i.test(value)) return true;
  return /^(false|0|no|off)$/i.test(value) ? false : value;
}

function checked(key: string, declared: ConfigKey, { value, source, example }: Said): unknown {
  const result = declared.schema.safeParse(value);
  if (result.success) return result.data;
  const must = result.error.issues[0]?.message ?? 'is wrong';
  const said = JSON.stringify(shownValue(key, value)) ?? typeof value;
  throw new KeelsonError(
    'INVALID',
    `"${key}" of ${source} ${must.startsWith('must') ? must : 'must be another'}, not ${said}. Such as: ${example(key, declared)}`,
    { details: { key, source } },
  );
}

function unknownKey(key: string, source: string): KeelsonError {
  const near = nearest(key, Object.keys(configKeys)) ?? nearest(key, groups);
  const hint =
    near === undefined
      ? ` Known keys: ${Object.keys(configKeys).join(', ')}.`
      : ` Did you mean "${near}"?`;
  return new KeelsonError('INVALID', `${source} has a key "${key}" that is not known.${hint}`, {
    details: { key, source },
  });
}

function exampleInFile(key: string, { example }: ConfigKey): string {
  const names = key.split('.');
  const written = names.reduceRight<string>(
    (inner, name) =>
      inner === '' ? `${name}: ${JSON.stringify(example)}` : `${name}: { ${inner} }`,
    '',
  );
  return `{ ${written} }`;
}

const groups = [
  ...new Set(
    Object.keys(configKeys)
      .filter((key) => key.includes('.'))
      .map((key) => key.split('.')[0] as string),
  ),
];

function isGroup(key: string): boolean {
  return groups.includes(key);
}

function place(values: Record<string, unknown>, key: string, value: unknown): void {
  const [first = key, second] = key.split('.');
  if (value === undefined) return;
  if (second === undefined) values[first] = value;
  else values[first] = { ...(values[first] as object | undefined), [second]: value };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
