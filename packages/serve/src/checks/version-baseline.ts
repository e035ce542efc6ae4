import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KeelsonError, type UsualInput } from '@keelson/core';

const file = 'keelson-baseline.json';

/** What a version's inputs usually are, by its own `keelson-baseline.json`; nothing without the file. FAILED, naming the fault. */
export async function readBaseline(
  directory: string,
): Promise<Readonly<Record<string, UsualInput>>> {
  let text: string;
  try {
    text = await readFile(join(directory, file), 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return {};
    throw fault('cannot be read', cause);
  }
  let value: { readonly inputs?: unknown } | null;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw fault('is no JSON', cause);
  }
  const inputs = value?.inputs;
  if (!isObject(inputs)) throw fault('has no object "inputs"');
  for (const [name, usual] of Object.entries(inputs)) {
    if (!isUsual(usual)) {
      throw fault(
        `says of ${JSON.stringify(name)} what is not of the form { min, max, values, missing }`,
      );
    }
  }
  return inputs as Record<string, UsualInput>;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isUsual(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { min, max, values, missing, ...rest } = value;
  const isNumber = (item: unknown): boolean => item === undefined || typeof item === 'number';
  const isTexts =
    values === undefined ||
    (Array.isArray(values) && values.every((item) => typeof item === 'string'));
  const isFlag = missing === undefined || typeof missing === 'boolean';
  return isNumber(min) && isNumber(max) && isTexts && isFlag && Object.keys(rest).length === 0;
}

function fault(what: string, cause?: unknown): KeelsonError {
  return new KeelsonError('FAILED', `${file} ${what}.`, { cause });
}
