import { createHash } from 'node:crypto';
import type { ByteSource } from '../../contracts/artifact-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson, decodeJson, encodeJson, type Json, type JsonObject } from '../../json.ts';
import { assertFits } from '../../json-schema.ts';
import { mimeTypeOf, normaliseArtifactPath } from '../../tracking/artifact-path.ts';
import { maxArtifacts } from '../changes/output-records.ts';
import { type InputSource, sourcesOf } from '../definition.ts';
import type { LoadedDefinition } from '../definitions.ts';
import type { ExecutionState } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { type InputOrigins, originOf } from '../lineage/step-edges.ts';
import {
  type ArtifactFacts,
  artifactsIn,
  type OutputOptions,
  packValue,
  StepArtifact,
  type StepOutputs,
  unpackValue,
} from '../step-artifact.ts';
import { outputPath, type StepState, type StoredOutput, stepLabel } from '../step-execution.ts';
import { inputFailure } from './input-failure.ts';

/** JSON outputs up to this size lie in the step's record; larger ones are content. */
const inlineBytes = 16_384;
/** So long after its put no collection takes content that nothing refers to. */
const unguardedMs = 60_000;
/** The name of the content that holds a large JSON output; no artifact may take it. */
const valueName = 'output.json';

type Where = Pick<StepState, 'pipeline' | 'executionId' | 'step' | 'mapKey'>;

/** All that a step has put out. */
export interface Finished {
  readonly output: StoredOutput;
  readonly artifacts: readonly ArtifactFacts[];
}

/** What a step has put out so far, and its end. */
export interface OutputSink extends StepOutputs {
  /** Stores what the step returned. INVALID, naming the place, for what is no JSON. */
  finish(value: unknown): Promise<Finished>;
  /** The same for a value whose artifacts are references already. */
  finishPacked(value: Json): Promise<Finished>;
  /**
   * What is kept of an attempt that failed: those of `wanted` that it has put out and that are still there, as
   * `failed/a<attempt>/<name>`, so that no later attempt is in their way.
   */
  kept(
    attempt: number,
    wanted: readonly { readonly name: string }[],
  ): Promise<readonly ArtifactFacts[]>;
}

/** What a step gets for its inputs. */
export interface InputsGiven {
  /** As its function takes them: artifacts ready to be opened. */
  readonly values: Readonly<Record<string, unknown>>;
  /** As they are stored, references to artifacts included: what a cache key is made of. */
  readonly packed: JsonObject;
  /** What they come from, for the lineage. */
  readonly origins: InputOrigins;
}

/** Whose inputs are asked for. */
export interface InputsFor {
  readonly state: StepState;
  readonly loaded: LoadedDefinition;
  readonly execution: Pick<ExecutionState, 'parameters'>;
}

/** Carries values from step to step through the artifact store. */
export interface StepValues {
  sink(where: Where, signal: AbortSignal): OutputSink;
  /**
   * The inputs of a step, once all of it exists and matches its digests: a `data` failure, naming the input, if
   * not, INVALID for a value that does not fit the input's schema.
   */
  inputs(of: InputsFor): Promise<InputsGiven>;
  /**
   * How many items a fan-out has, and what the list comes from. INVALID when what it goes over is no list, or
   * longer than 10,000.
   */
  items(of: InputsFor): Promise<{ readonly count: number; readonly origins: InputOrigins }>;
  /** The output of a completed step. */
  read(state: StepState): Promise<unknown>;
  /** The same, as it is stored. */
  readPacked(state: StepState): Promise<Json>;
  /** Stores a value that is packed already. */
  store(where: Where, value: Json): Promise<StoredOutput>;
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
          `Step ${stepLabel(where)} has already put out an artifact ${name}; give each its own name.`,
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

      finish: (value) => finishPacked((packValue(value) ?? null) as Json),
      finishPacked,

      async kept(attempt, wanted) {
        const found: ArtifactFacts[] = [];
        for (const name of new Set(wanted.map((each) => String(each?.name)))) {
          const own = artifacts.get(name);
          // What the step answers with is its failure: content that is gone must not hide that.
          if (own === undefined || own.sha256 === '' || !(await space.keep(own.sha256))) continue;
          const keptAs = `failed/a${attempt}/${name}`;
          found.push({ ...own, name: keptAs, path: outputPath(where, keptAs) });
        }
        return found;
      },
    };

    async function finishPacked(value: Json): Promise<Finished> {
      const text = canonicalJson(value, 'output');
      const bytes = Buffer.from(text);
      const digest = digestOf(text);
      if (performance.now() - begunAt > unguardedMs) await keepAll(artifacts.values());
      const complete = () => [...artifacts.values()].filter((each) => each.sha256 !== '');
      if (bytes.length <= inlineBytes) {
        return { output: { digest, value: decodeJson(text) }, artifacts: complete() };
      }
      const content = await store(valueName, bytes, 'application/json');
      return { output: { digest, content: content.toJSON() }, artifacts: complete() };
    }
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
    if (state.status === 'COMPLETED' && state.output !== undefined) {
      return packedOutput(state, state.output);
    }
    throw new KeelsonError(
      'NOT_FOUND',
      `The output of step ${stepLabel(state)} does not exist: the step is ${state.status}.`,
    );
  }

  async function packedOutput(state: StepState, output: StoredOutput): Promise<Json> {
    const where = `The output of step ${stepLabel(state)} (attempt ${state.attempt})`;
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

  /** A step's output, or one field of it, with all its contents verified. */
  async function verifiedOutput(
    state: StepState,
    forStep: string,
    input: string,
    field: string | undefined,
  ): Promise<Json | undefined> {
    try {
      const whole = await packed(state);
      const value = field === undefined ? whole : fieldOf(whole, field, state, forStep, input);
      for (const artifact of value === undefined ? [] : artifactsIn(value)) await verify(artifact);
      return value;
    } catch (cause) {
      throw inputFailure(forStep, input, cause);
    }
  }

  async function sourceReader({ state, loaded, execution }: InputsFor) {
    const step = loaded.steps.get(state.step);
    const ports = Object.entries(step?.inputs ?? {});
    const sources = [
      ...ports.flatMap(([, port]) => sourcesOf(port)),
      ...(step?.forEach === undefined ? [] : [step.forEach.items]),
    ];
    const names = new Set(sources.flatMap((source) => ('step' in source ? [source.step] : [])));
    const states = await records.stepsNamed(state.executionId, [...names]);
    const byName = new Map(states.map((each) => [each.step, each]));
    const used = new Origins();
    const read = async (source: InputSource, input: string): Promise<Json | undefined> => {
      if ('value' in source) return used.given(source.value);
      if ('parameter' in source) return used.given(execution.parameters[source.parameter]);
      const from = byName.get(source.step);
      if (from === undefined) {
        throw new KeelsonError('NOT_FOUND', `Step ${source.step} of this execution has no record.`);
      }
      // Skipped, or failed and tolerated: there is nothing, and the step knows that.
      if (from.status === 'SKIPPED' || from.tolerated === true) return undefined;
      return used.of(from, await verifiedOutput(from, state.step, input, source.output));
    };
    return { step, ports, read, used };
  }

  async function itemsOf(
    of: InputsFor,
  ): Promise<{ readonly list: readonly Json[]; readonly origins: InputOrigins }> {
    const { step, read, used } = await sourceReader(of);
    const forEach = step?.forEach;
    const list = forEach === undefined ? [] : await read(forEach.items, forEach.as);
    if (Array.isArray(list) && list.length <= maxItems) return { list, origins: used };
    const what = Array.isArray(list) ? `a list of ${list.length}` : typeof list;
    throw new KeelsonError(
      'INVALID',
      `Step ${of.state.step} runs for each item of a list of at most ${maxItems}, not of ${what}.`,
    );
  }

  async function inputs(of: InputsFor): Promise<InputsGiven> {
    const { state } = of;
    const { step, ports, read, used } = await sourceReader(of);
    const found: Record<string, Json> = {};
    for (const [input, port] of ports) {
      const { from } = port;
      const list = Array.isArray(from) ? (from as readonly InputSource[]) : undefined;
      const value =
        list === undefined
          ? await read(from as InputSource, input)
          : (await Promise.all(list.map((each) => read(each, input)))).map((each) => each ?? null);
      const filled = value ?? port.default;
      if (port.schema !== undefined && filled !== undefined) {
        assertFits(port.schema, filled, `Input "${input}" of step ${state.step}`);
      }
      if (filled !== undefined) found[input] = filled;
    }
    if (step?.forEach !== undefined && state.mapKey !== '') {
      const { list, origins } = await itemsOf(of);
      const item = list[Number(state.mapKey)];
      for (const id of origins.steps) used.step(id);
      used.given(item);
      try {
        for (const artifact of item === undefined ? [] : artifactsIn(item)) await verify(artifact);
      } catch (cause) {
        throw inputFailure(state.step, step.forEach.as, cause);
      }
      if (item !== undefined) found[step.forEach.as] = item;
    }
    if (state.previous !== undefined) found['previous'] = await packedOutput(state, state.previous);
    const values = Object.entries(found).map(([name, value]) => [name, unpackValue(value, space)]);
    return { packed: found, values: Object.fromEntries(values), origins: used };
  }

  return {
    sink,
    inputs,
    items: async (of) => {
      const { list, origins } = await itemsOf(of);
      return { count: list.length, origins };
    },
    read: async (state) => unpackValue(await packed(state), space),
    readPacked: packed,
    store: async (where, value) =>
      (await sink(where, new AbortController().signal).finishPacked(value)).output,
  };
}

const maxItems = 10_000;

/** What values come from, gathered as they are read. */
class Origins implements InputOrigins {
  readonly #steps = new Set<string>();
  readonly #contents = new Set<string>();

  get steps(): readonly string[] {
    return [...this.#steps];
  }

  get contents(): readonly string[] {
    return [...this.#contents];
  }

  step(id: string): void {
    this.#steps.add(id);
  }

  /** Answers the value that a step has put out. */
  of(state: StepState, value: Json | undefined): Json | undefined {
    this.#steps.add(originOf(state));
    return this.given(value);
  }

  given(value: Json | undefined): Json | undefined {
    for (const { sha256 } of value === undefined ? [] : artifactsIn(value)) {
      this.#contents.add(sha256);
    }
    return value;
  }
}

function fieldOf(
  whole: Json,
  field: string,
  state: StepState,
  forStep: string,
  input: string,
): Json | undefined {
  if (typeof whole === 'object' && whole !== null && !Array.isArray(whole)) {
    if (Object.hasOwn(whole, field)) return (whole as JsonObject)[field];
  }
  throw new KeelsonError(
    'INVALID',
    `Input "${input}" of step ${forStep} takes ${field} of step ${state.step}, which has put out no such field.`,
    { details: { step: forStep, input, from: state.step, field } },
  );
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
