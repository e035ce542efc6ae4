import { appendFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ByteSource } from '../../contracts/artifact-store.ts';
import type {
  ModuleContext,
  ModuleOutput,
  ModuleOutputs,
  StepRun,
} from '../../contracts/module-context.ts';
import type { ModuleResult, ModuleTask } from '../../contracts/module-task.ts';
import type { Logger } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, encodeJson, type Json, type JsonObject } from '../../json.ts';
import { logGiven, logLine } from '../../log-line.ts';
import { FileArtifact } from './file-artifact.ts';
import { fileCheckpoint } from './file-checkpoint.ts';
import { writeSource } from './write-source.ts';

/** A file that the step has put out. */
class OutputFile implements ModuleOutput {
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
  const run = runOf(task);
  const context: ModuleContext = {
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
    run,
    progress: (share, message) => run.progress?.(share, message),
    checkpoint: fileCheckpoint(task),
    ...(task.checkpointDir === undefined ? {} : { checkpointDir: task.checkpointDir }),
    ...(task.checkpointPath === undefined ? {} : { checkpointPath: task.checkpointPath }),
    stopSiblings: (reason: string) => {
      stopSiblings ??= String(reason);
    },
  };
  const value: unknown = await call(context);
  const packed = asJson(pack(value ?? null), `The result of ${name}`);
  return { value: packed, ...(stopSiblings === undefined ? {} : { stopSiblings }) };
}

/** What of a failed attempt is to be kept, as its {@link thrownError} carries it; of what the error was caused by too. */
export function artifactsThrown(error: unknown): Json | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth += 1) {
    if (at.name !== 'StepError' || !('artifacts' in at) || !Array.isArray(at.artifacts)) continue;
    const files = at.artifacts.filter((each) => each instanceof OutputFile).slice(0, 100);
    return files.length === 0 ? undefined : (pack(files) as Json);
  }
  return undefined;
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

function outputsOf({ outputDir }: ModuleTask): ModuleOutputs {
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

const lineLogger: Logger = {
  debug: (fields, message) => writeLine('debug', fields, message),
  info: (fields, message) => writeLine('info', fields, message),
  warn: (fields, message) => writeLine('warn', fields, message),
  error: (fields, message) => writeLine('error', fields, message),
};

function writeLine(level: keyof Logger, fields: object, message: string): void {
  const stream = level === 'warn' || level === 'error' ? process.stderr : process.stdout;
  stream.write(`${logLine(level, logGiven(fields, message))}\n`);
}

/** What of a run of tracking can be written as lines. */
function runOf({ metricsPath }: ModuleTask): StepRun {
  const line = (fields: object): void => appendFileSync(metricsPath, `${encodeJson(fields)}\n`);
  const logMetrics: StepRun['logMetrics'] = (values, { step, timestamp = Date.now() } = {}) => {
    const place = { timestamp: Number(timestamp), ...(step === undefined ? {} : { step }) };
    for (const [metric, value] of Object.entries(values)) line({ metric, value, ...place });
  };
  const logParam = (param: string, value: unknown): void => line({ param, value });
  const setTag = (tag: string, value: string): void => line({ tag, value });
  return {
    logMetric: (key, value, options) => logMetrics({ [key]: value }, options),
    logMetrics,
    logParam,
    logParams(params): void {
      for (const [param, value] of Object.entries(params)) logParam(param, value);
    },
    setTag,
    setTags(tags): void {
      for (const [tag, value] of Object.entries(tags)) setTag(tag, value);
    },
    progress: (progress, message) => line({ progress, message }),
  };
}
