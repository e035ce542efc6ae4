import { constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJson, type Json } from '../../json.ts';
import type { StepDefinition, StepOutputPort } from '../definition.ts';
import type { StepArtifact } from '../step-artifact.ts';
import { StepError } from '../step-policy.ts';
import type { OutputSink } from '../steps/output-sink.ts';
import { directoryType } from './directory-artifact.ts';

const maxJsonBytes = 16 * 2 ** 20;

/**
 * What a task has written at the places of its outputs, as the value of the step: JSON for parameters and
 * metrics, artifacts for the rest (a directory becomes its files and a list of them). A `data` failure,
 * naming the file, for one that is missing, is no JSON, or is or holds a symbolic link, a pipe or a device: a
 * link shows the files of whoever reads it, not those that the task has made.
 */
export async function collectOutputs(
  step: StepDefinition,
  dir: string,
  outputs: OutputSink,
): Promise<Readonly<Record<string, unknown>>> {
  const value: Record<string, unknown> = {};
  await assertDirectory(step, dir);
  for (const [name, port] of Object.entries(step.outputs ?? {})) {
    const collected = await collect(step, name, port, join(dir, name), outputs);
    if (collected !== undefined) value[name] = collected;
  }
  return value;
}

async function collect(
  step: StepDefinition,
  name: string,
  port: StepOutputPort,
  path: string,
  outputs: OutputSink,
): Promise<unknown> {
  const facts = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (facts === undefined) {
    if (port.optional) return undefined;
    throw new StepError(
      'data',
      `Step ${step.name} has not written its output "${name}": it belongs at the path in KEELSON_OUTPUT_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}_PATH (${path}).`,
    );
  }
  if (facts.isSymbolicLink()) throw await linkFailure(step, name, path);
  if (port.type === 'parameter' || port.type === 'metrics') {
    if (!facts.isFile()) throw oddFailure(step, name, path);
    return readJson(step, name, path, facts.size);
  }
  if (facts.isFile()) return outputs.artifact(name, { path });
  if (facts.isDirectory()) return collectDirectory(step, name, path, outputs);
  throw oddFailure(step, name, path);
}

/** Its task may have put a link in the place of the directory of its outputs. */
async function assertDirectory(step: StepDefinition, dir: string): Promise<void> {
  const facts = await lstat(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (facts === undefined || facts.isDirectory()) return;
  throw new StepError(
    'data',
    `Step ${step.name} has replaced the directory of its outputs by something else (${dir}).`,
  );
}

async function linkFailure(step: StepDefinition, name: string, path: string): Promise<StepError> {
  const leads = await readlink(path).catch(() => 'somewhere');
  return new StepError(
    'data',
    `Output "${name}" of step ${step.name} may have no symbolic links: ${path} leads to ${leads}. Write a copy of what it leads to.`,
  );
}

function oddFailure(step: StepDefinition, name: string, path: string): StepError {
  return new StepError(
    'data',
    `Output "${name}" of step ${step.name} may have files and directories only: ${path} is neither.`,
  );
}

async function readJson(
  step: StepDefinition,
  name: string,
  path: string,
  sizeBytes: number,
): Promise<Json> {
  if (sizeBytes > maxJsonBytes) {
    throw new StepError(
      'data',
      `Output "${name}" of step ${step.name} has ${sizeBytes} bytes of JSON; make it an artifact.`,
    );
  }
  try {
    const text = await textOf(path);
    assertExact(text);
    return decodeJson(text);
  } catch (cause) {
    const { message } = ((cause as Error).cause ?? cause) as Error;
    throw new StepError(
      'data',
      `Output "${name}" of step ${step.name} is no JSON that can be kept (${path}): ${message.replace(/\.$/, '')}.`,
      { cause },
    );
  }
}

/** Refuses whole numbers that a double would round: a step in another language has them exactly. */
function assertExact(text: string): void {
  if (!/\d{16}/.test(text)) return;
  const exact = (
    _: string,
    value: unknown,
    { source }: { readonly source?: string } = {},
  ): unknown => {
    if (typeof value !== 'number' || source === undefined || !/^-?\d+$/.test(source)) return value;
    if (Number.isSafeInteger(value)) return value;
    throw new StepError(
      'data',
      `${source} is a larger whole number than can be kept; write it as text`,
    );
  };
  JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}

async function textOf(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    // Without a byte order mark, and refusing what is no UTF-8.
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile());
  } finally {
    await file.close();
  }
}

async function collectDirectory(
  step: StepDefinition,
  name: string,
  dir: string,
  outputs: OutputSink,
): Promise<StepArtifact> {
  const files = [];
  for (const file of await filesBelow(step, name, dir)) {
    const path = file.slice(dir.length + 1).replaceAll('\\', '/');
    const { sha256, sizeBytes } = await outputs.artifact(`${name}/${path}`, { path: file });
    files.push({ path, sha256, sizeBytes });
  }
  const list = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const bytes = Buffer.from(JSON.stringify({ files: list }));
  return outputs.artifact(name, bytes, { mimeType: directoryType });
}

/** All files below a directory, none stored before all are known to be files. */
async function filesBelow(
  step: StepDefinition,
  name: string,
  dir: string,
): Promise<readonly string[]> {
  const files: string[] = [];
  const directories = [dir];
  for (const at of directories) {
    for (const entry of await readdir(at, { withFileTypes: true })) {
      const path = join(at, entry.name);
      if (entry.isFile()) files.push(path);
      else if (entry.isDirectory()) directories.push(path);
      else if (entry.isSymbolicLink()) throw await linkFailure(step, name, path);
      else throw oddFailure(step, name, path);
    }
  }
  return files;
}
