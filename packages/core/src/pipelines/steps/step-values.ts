import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson, decodeJson, type Json, type JsonObject } from '../../json.ts';
import { assertFits } from '../../json-schema.ts';
import { type InputSource, sourcesOf } from '../definition.ts';
import type { LoadedDefinition } from '../definitions.ts';
import type { ExecutionState } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { type InputOrigins, originOf } from '../lineage/step-edges.ts';
import { type ArtifactFacts, artifactsIn, StepArtifact, unpackValue } from '../step-artifact.ts';
import { type StepState, type StoredOutput, stepLabel } from '../step-execution.ts';
import { inputFailure } from './input-failure.ts';
import { createOutputSinks, digestOf, type OutputOf, type OutputSink } from './output-sink.ts';

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
  sink(where: OutputOf, signal: AbortSignal): OutputSink;
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
  store(where: OutputOf, value: Json): Promise<StoredOutput>;
}

/** Step values of the scope's workspace. */
export function createStepValues(scope: Scope, records: ExecutionRecords): StepValues {
  const space = scope.artifacts;
  // What this process has written or read through needs no second reading of all its bytes.
  const verified = new Set<string>();
  const sink = createOutputSinks(space, remember);
  // What fan-outs go over, by step, digest and field: each item would read and prove the whole of it.
  const lists = new Map<string, Json>();

  function remember(sha256: string): void {
    if (verified.size > 100_000) verified.clear();
    verified.add(sha256);
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

  /** The same for what a fan-out goes over, which is asked for again with each item. */
  async function verifiedList(
    from: StepState,
    forStep: string,
    input: string,
    field: string | undefined,
  ): Promise<Json | undefined> {
    const key = JSON.stringify([from.id, from.output?.digest, field]);
    const known = lists.get(key);
    if (known !== undefined) return known;
    const list = await verifiedOutput(from, forStep, input, field);
    const sizeBytes = from.output?.content?.sizeBytes ?? 0;
    if (list === undefined || sizeBytes > maxListBytes) return list;
    const [oldest] = lists.keys();
    if (lists.size >= maxLists && oldest !== undefined) lists.delete(oldest);
    lists.set(key, list);
    return list;
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
      const from = stepRead(source.step);
      return from && used.of(from, await verifiedOutput(from, state.step, input, source.output));
    };
    /** What a fan-out goes over; what it refers to concerns each item alone. */
    const readList = async (source: InputSource, input: string): Promise<Json | undefined> => {
      if ('value' in source) return source.value;
      if ('parameter' in source) return execution.parameters[source.parameter];
      const from = stepRead(source.step);
      if (from === undefined) return undefined;
      used.of(from, undefined);
      return verifiedList(from, state.step, input, source.output);
    };
    /** Undefined for one that was skipped, or failed and is tolerated: there is nothing, and the step knows that. */
    const stepRead = (name: string): StepState | undefined => {
      const from = byName.get(name);
      if (from === undefined) {
        throw new KeelsonError('NOT_FOUND', `Step ${name} of this execution has no record.`);
      }
      return from.status === 'SKIPPED' || from.tolerated === true ? undefined : from;
    };
    const items = async (): Promise<readonly Json[]> => {
      const forEach = step?.forEach;
      const list = forEach === undefined ? [] : await readList(forEach.items, forEach.as);
      if (Array.isArray(list) && list.length <= maxItems) return list;
      const what = Array.isArray(list) ? `a list of ${list.length}` : typeof list;
      throw new KeelsonError(
        'INVALID',
        `Step ${state.step} runs for each item of a list of at most ${maxItems}, not of ${what}.`,
      );
    };
    return { step, ports, read, items, used };
  }

  async function inputs(of: InputsFor): Promise<InputsGiven> {
    const { state } = of;
    const { step, ports, read, items, used } = await sourceReader(of);
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
      const item = (await items())[Number(state.mapKey)];
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
      const { items, used } = await sourceReader(of);
      return { count: (await items()).length, origins: used };
    },
    read: async (state) => unpackValue(await packed(state), space),
    readPacked: packed,
    store: async (where, value) =>
      (await sink(where, new AbortController().signal).finishPacked(value)).output,
  };
}

const maxItems = 10_000;
/** Lists of fan-outs that are kept in memory, and up to which size. */
const maxLists = 4;
const maxListBytes = 16 * 2 ** 20;

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
