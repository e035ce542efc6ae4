import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJson, type Json } from '../../json.ts';
import type { StepDefinition, StepOutputPort } from '../definition.ts';
import type { StepArtifact } from '../step-artifact.ts';
import { StepError } from '../step-policy.ts';
import type { OutputSink } from '../step-values.ts';
import { directoryType } from './directory-artifact.ts';

const maxJsonBytes = 16 * 2 ** 20;

/**
 * What a task has written at the places of its outputs, as the value of the step: JSON for parameters and
 * metrics, artifacts for the rest (a directory becomes its files and a list of them). A `data` failure,
 * naming the file, for one that is missing or no JSON; links and devices are refused.
 */
export async function collectOutputs(
  step: StepDefinition,
  dir: string,
  outputs: OutputSink,
): Promise<Readonly<Record<string, unknown>>> {
  const value: Record<string, unknown> = {};
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
  if (port.type === 'parameter' || port.type === 'metrics') {
    return readJson(step, name, path, facts.size);
  }
  if (facts.isFile()) return outputs.artifact(name, { path });
  if (facts.isDirectory()) return collectDirectory(name, path, outputs);
  throw new StepError(
    'data',
    `Output "${name}" of step ${step.name} is neither a file nor a directory (${path}).`,
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
    return decodeJson(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new StepError('data', `Output "${name}" of step ${step.name} is no JSON (${path}).`, {
      cause,
    });
  }
}

async function collectDirectory(
  name: string,
  dir: string,
  outputs: OutputSink,
): Promise<StepArtifact> {
  const files = [];
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = file.slice(dir.length + 1).replaceAll('\\', '/');
    const { sha256, sizeBytes } = await outputs.artifact(`${name}/${path}`, { path: file });
    files.push({ path, sha256, sizeBytes });
  }
  const list = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const bytes = Buffer.from(JSON.stringify({ files: list }));
  return outputs.artifact(name, bytes, { mimeType: directoryType });
}
