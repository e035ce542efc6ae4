import { appendFileSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ByteSource } from '../../contracts/artifact-store.ts';
import type { ModuleResult, ModuleTask } from '../../contracts/module-task.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, encodeJson, type Json, type JsonObject } from '../../json.ts';
import { FileArtifact } from './file-artifact.ts';

/** A file that the step has put out. */
class OutputFile {
  readonly name: string;
  readonly mimeType: string | undefined;

  constructor(name: string, mimeType: string | undefined) {
    this.name = name;
    this.mimeType = mimeType;
  }
}

/**
 * Calls a module's export as a step's function, where there is no platform: with the inputs of the task, and
 * files for what it puts out. INVALID for an export that is no function, or a result that is no JSON.
 */
export async function runModule(
  location: string,
  name: string,
  task: ModuleTask,
  signal: AbortSignal,
): Promise<ModuleResult & JsonObject> {
  const loaded = (await import(location)) as Readonly<Record<string, unknown>>;
  const call = Object.hasOwn(loaded, name) ? loaded[name] : undefined;
  if (typeof call !== 'function') {
    const known = Object.keys(loaded).slice(0, 20).join(', ') || 'nothing';
    throw new KeelsonError(
      'INVALID',
      `The module ${location} has no function ${JSON.stringify(name)}; it exports ${known}.`,
    );
  }
  let stopSiblings: string | undefined;
  const value: unknown = await call({
    parameters: task.parameters,
    inputs: unpack(task.inputs, task.artifacts),
    outputs: outputsOf(task),
    signal,
    attempt: task.attempt,
    executionId: task.executionId,
    step: task.step,
    correlationId: task.correlationId,
    ...(task.item === undefined ? {} : { item: task.item }),
    ...(task.iteration === undefined ? {} : { iteration: task.iteration }),
    logger: lineLogger,
    run: runOf(task),
    ...(task.checkpointDir === undefined ? {} : { checkpointDir: task.checkpointDir }),
    ...(task.checkpointPath === undefined ? {} : { checkpointPath: task.checkpointPath }),
    stopSiblings: (reason: string) => {
      stopSiblings ??= String(reason);
    },
  });
  const packed = asJson(pack(value ?? null), `The result of ${name}`);
  return { value: packed, ...(stopSiblings === undefined ? {} : { stopSiblings }) };
}

function unpack(value: Json, files: Readonly<Record<string, string>>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => unpack(each, files));
  const facts = (value as JsonObject)['$artifact'];
  if (facts !== undefined && Object.keys(value).length === 1) {
    const file = files[String((facts as JsonObject)['sha256'])];
    if (file !== undefined) return new FileArtifact(facts as JsonObject, file);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      /^\$\$+artifact$/.test(key) ? key.slice(1) : key,
      unpack(each as Json, files),
    ]),
  );
}

function pack(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof OutputFile) {
    const { name, mimeType } = value;
    return { $output: { name, ...(mimeType === undefined ? {} : { mimeType }) } };
  }
  if (value instanceof FileArtifact) {
    return { $artifact: value.toJSON() };
  }
  if (Array.isArray(value)) return value.map(pack);
  const prototype = Object.getPrototypeOf(value);
  // Left as it is, so that encoding refuses it and names the place.
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      /^\$+(artifact|output)$/.test(key) ? `$${key}` : key,
      pack(each),
    ]),
  );
}

function outputsOf({ outputDir }: ModuleTask) {
  const taken = new Set<string>();
  async function artifact(
    name: string,
    source: ByteSource,
    options: { readonly mimeType?: string } = {},
  ): Promise<OutputFile> {
    if (!/^[\w.-]+(\/[\w.-]+)*$/.test(name) || name.split('/').includes('..')) {
      throw new KeelsonError('INVALID', `${JSON.stringify(name)} is no name for an artifact.`);
    }
    if (taken.has(name)) {
      throw new KeelsonError('CONFLICT', `An artifact ${name} was put out before.`);
    }
    taken.add(name);
    const path = join(outputDir, name);
    await mkdir(dirname(path), { recursive: true });
    await writeSource(path, source);
    return new OutputFile(name, options.mimeType);
  }
  return {
    artifact,
    json: (name: string, value: unknown) =>
      artifact(name, Buffer.from(encodeJson(value, name)), { mimeType: 'application/json' }),
  };
}

async function writeSource(path: string, source: ByteSource): Promise<void> {
  const file = await open(path, 'w');
  try {
    if (source instanceof Uint8Array) {
      await file.writeFile(source);
    } else if (source instanceof Blob) {
      await file.writeFile(source.stream() as unknown as AsyncIterable<Uint8Array>);
    } else if ('path' in source) {
      await file.writeFile((await open(source.path)).createReadStream());
    } else {
      await file.writeFile(source as AsyncIterable<Uint8Array>);
    }
  } finally {
    await file.close();
  }
}

const lineLogger = Object.fromEntries(
  (['debug', 'info', 'warn', 'error'] as const).map((level) => [
    level,
    (fields: object, message: string) => {
      const line = `${JSON.stringify({ level, ...fields, message })}\n`;
      (level === 'warn' || level === 'error' ? process.stderr : process.stdout).write(line);
    },
  ]),
);

/** What of a run of tracking can be written as lines. */
function runOf({ metricsPath }: ModuleTask) {
  const line = (fields: object): void => appendFileSync(metricsPath, `${encodeJson(fields)}\n`);
  const logMetric = (metric: string, value: number, options: { step?: number } = {}): void =>
    line({ metric, value, timestamp: Date.now(), ...options });
  return {
    logMetric,
    logMetrics(values: Readonly<Record<string, number>>, options: { step?: number } = {}): void {
      for (const [metric, value] of Object.entries(values)) logMetric(metric, value, options);
    },
    logParam: (param: string, value: unknown): void => line({ param, value }),
    setTag: (tag: string, value: string): void => line({ tag, value }),
    progress: (progress: number, message?: string): void => line({ progress, message }),
  };
}
