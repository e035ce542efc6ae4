import { createHash } from 'node:crypto';
import type { ByteSource } from '../contracts/artifact-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { canonicalJson, decodeJson, encodeJson, type Json } from '../json.ts';
import { mimeTypeOf, normaliseArtifactPath } from '../tracking/artifact-path.ts';
import { type InputSource, sourcesOf } from './definition.ts';
import type { LoadedDefinition } from './definitions.ts';
import type { ExecutionRecords } from './execution-records.ts';
import {
  type ArtifactFacts,
  artifactsIn,
  type OutputOptions,
  packValue,
  StepArtifact,
  type StepOutputs,
  unpackValue,
} from './step-artifact.ts';
import { outputPath, type StepState, type StoredOutput } from './step-execution.ts';
import { maxArtifacts } from './transitions.ts';

/** JSON outputs up to this size lie in the step's record; larger ones are content. */
const inlineBytes = 16_384;
/** So long after its put no collection takes content that nothing refers to. */
const unguardedMs = 60_000;
/** The name of the content that holds a large JSON output; no artifact may take it. */
const valueName = 'output.json';

type Where = Pick<StepState, 'pipeline' | 'executionId' | 'step'>;

/** What a step has put out so far, and its end. */
export interface OutputSink extends StepOutputs {
  /** Stores what the step returned. INVALID, naming the place, for what is no JSON. */
  finish(
    value: unknown,
  ): Promise<{ readonly output: StoredOutput; readonly artifacts: readonly ArtifactFacts[] }>;
}

/** Carries values from step to step through the artifact store. */
export interface StepValues {
  sink(where: Where, signal: AbortSignal): OutputSink;
  /** The inputs of a step, once all of it exists and matches its digests; CORRUPT or NOT_FOUND if not. */
  inputs(state: StepState, loaded: LoadedDefinition): Promise<Readonly<Record<string, unknown>>>;
  /** The output of a completed step. */
  read(state: StepState): Promise<unknown>;
}

/** Step values of the scope's workspace. */
export function createStepValues(scope: Scope, records: ExecutionRecords): StepValues {
  const space = scope.artifacts;
  // What this process has written or read through needs no second reading of all its bytes.
  const verified = new Set<string>();

  async function put(source: ByteSource, signal: AbortSignal) {
    const content = await space.put(source, { signal });
    remember(content.sha256);
    return content;
  }

  function remember(sha256: string): void {
    if (verified.size > 100_000) verified.clear();
    verified.add(sha256);
  }

  function sink(where: Where, signal: AbortSignal): OutputSink {
    const artifacts = new Map<string, ArtifactFacts>();
    const begunAt = performance.now();

    async function store(
      name: string,
      source: ByteSource,
      mimeType: string,
    ): Promise<StepArtifact> {
      if (artifacts.has(name)) {
        throw new KeelsonError(
          'CONFLICT',
          `Step ${where.step} has already put out an artifact ${name}; give each its own name.`,
        );
      }
      if (artifacts.size >= maxArtifacts) {
        throw new KeelsonError(
          'INVALID',
          `Step ${where.step} puts out more than ${maxArtifacts} artifacts; pack them into fewer.`,
        );
      }
      const path = outputPath(where, name);
      // Taken before the bytes are, so that two calls at once cannot both have the name.
      artifacts.set(name, { name, path, sha256: '', sizeBytes: 0, mimeType });
      try {
        const { sha256, sizeBytes } = await put(source, signal);
        const artifact = new StepArtifact({ name, path, sha256, sizeBytes, mimeType }, space);
        artifacts.set(name, artifact.toJSON());
        return artifact;
      } catch (error) {
        artifacts.delete(name);
        throw error;
      }
    }

    function named(name: string): string {
      const normal = normaliseArtifactPath(name);
      if (normal !== valueName) return normal;
      throw new KeelsonError(
        'INVALID',
        `Step ${where.step}: the name ${valueName} is kept for what the step returns.`,
      );
    }

    return {
      artifact: async (name: string, source: ByteSource, options: OutputOptions = {}) => {
        const normal = named(name);
        return store(normal, source, options.mimeType ?? mimeTypeOf(normal));
      },
      json: async (name: string, value: unknown) =>
        store(named(name), Buffer.from(encodeJson(value, name)), 'application/json'),

      async finish(value) {
        const text = canonicalJson(packValue(value) ?? null, 'output');
        const bytes = Buffer.from(text);
        const digest = digestOf(text);
        if (performance.now() - begunAt > unguardedMs) await keepAll(artifacts.values());
        const complete = () => [...artifacts.values()].filter((each) => each.sha256 !== '');
        if (bytes.length <= inlineBytes) {
          return { output: { digest, value: decodeJson(text) }, artifacts: complete() };
        }
        const content = await store(valueName, bytes, 'application/json');
        return { output: { digest, content: content.toJSON() }, artifacts: complete() };
      },
    };
  }

  /** What a long step put out at its beginning may have been garbage to others until now. */
  async function keepAll(artifacts: Iterable<ArtifactFacts>): Promise<void> {
    for (const { path, sha256 } of artifacts) {
      if (sha256 === '' || (await space.keep(sha256))) continue;
      throw new KeelsonError(
        'FAILED',
        `The content of ${path} was collected as garbage before its step ended; let gc wait longer than steps take (graceMs).`,
        { details: { path, sha256 } },
      );
    }
  }

  /** The packed output, proved to be what was stored. */
  async function packed(state: StepState): Promise<Json> {
    const { output } = state;
    const where = `The output of step ${state.step} (attempt ${state.attempt})`;
    if (state.status !== 'COMPLETED' || output === undefined) {
      throw new KeelsonError('NOT_FOUND', `${where} does not exist: the step is ${state.status}.`);
    }
    const text =
      output.content === undefined
        ? canonicalJson(output.value)
        : await new StepArtifact(output.content, space).text();
    if (digestOf(text) === output.digest) return decodeJson(text);
    throw new KeelsonError('CORRUPT', `${where} does not match its digest ${output.digest}.`);
  }

  async function verify(artifact: ArtifactFacts): Promise<void> {
    if (verified.has(artifact.sha256)) return;
    const found = await space.verify(artifact.sha256);
    if (found.sizeBytes !== artifact.sizeBytes) {
      throw new KeelsonError(
        'CORRUPT',
        `${artifact.path} has ${found.sizeBytes} bytes, not ${artifact.sizeBytes}.`,
      );
    }
    remember(artifact.sha256);
  }

  async function verifiedOutput(
    state: StepState,
    forStep: string,
    input: string,
  ): Promise<unknown> {
    try {
      const value = await packed(state);
      for (const artifact of artifactsIn(value)) await verify(artifact);
      return unpackValue(value, space);
    } catch (cause) {
      if (!isKeelsonError(cause, 'CORRUPT', 'NOT_FOUND')) throw cause;
      throw new KeelsonError(
        cause.code === 'CORRUPT' ? 'CORRUPT' : 'NOT_FOUND',
        `Input "${input}" of step ${forStep} cannot be used: ${cause.message} Start a new execution to have it made again.`,
        { cause, details: { step: forStep, input, from: state.step } },
      );
    }
  }

  return {
    sink,

    async inputs(state, { steps }) {
      const ports = Object.entries(steps.get(state.step)?.inputs ?? {});
      const names = [
        ...new Set(
          ports.flatMap(([, port]) =>
            sourcesOf(port).flatMap((source) => ('step' in source ? [source.step] : [])),
          ),
        ),
      ];
      const states = await records.stepsNamed(state.executionId, names);
      const byName = new Map(states.map((each) => [each.step, each]));
      const valueFrom = async (source: InputSource, input: string): Promise<unknown> => {
        if (!('step' in source)) throw new KeelsonError('UNSUPPORTED', 'To come.');
        const from = byName.get(source.step);
        if (from !== undefined) return verifiedOutput(from, state.step, input);
        throw new KeelsonError('NOT_FOUND', `Step ${source.step} of this execution has no record.`);
      };
      const values: [string, unknown][] = [];
      for (const [input, { from }] of ports) {
        values.push([
          input,
          Array.isArray(from)
            ? await Promise.all(from.map((each: InputSource) => valueFrom(each, input)))
            : await valueFrom(from as InputSource, input),
        ]);
      }
      return Object.fromEntries(values);
    },

    read: async (state) => unpackValue(await packed(state), space),
  };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
