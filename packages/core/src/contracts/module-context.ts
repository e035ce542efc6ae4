import type { JsonObject } from '../json.ts';
import type { ByteSource } from './artifact-store.ts';
import type { Logger } from './ports.ts';
import type { StepCheckpoint } from './step-checkpoint.ts';

/** Where a point of a metric lies. */
interface PointOptions {
  /** A safe integer. */
  readonly step?: number;
  /** When it was measured; now when left out. */
  readonly timestamp?: number | Date;
}

/**
 * What every step can tell its run of tracking. Inline these are the methods of an active run, which answer when
 * what was logged is durable. In a thread or process they write lines, which whoever supervises the task puts
 * into the run within a second.
 */
export interface StepRun {
  logMetric(key: string, value: number, options?: PointOptions): void;
  /** All at one step and time. */
  logMetrics(values: Readonly<Record<string, number>>, options?: PointOptions): void;
  logParam(key: string, value: unknown): void | Promise<void>;
  logParams(params: object): void | Promise<void>;
  setTag(key: string, value: string): void | Promise<void>;
  setTags(tags: Readonly<Record<string, string>>): void | Promise<void>;
  /** How far it has come, from 0 to 1; only in a thread or process. */
  progress?(share: number, message?: string): void;
}

/** A reference to an artifact that a module has put out, to be returned. */
export interface ModuleOutput {
  readonly name: string;
  /** By the name's ending when left out. */
  readonly mimeType?: string | undefined;
}

/** Takes the bytes that a module puts out. */
export interface ModuleOutputs {
  /** CONFLICT for a name that this attempt has put out before, INVALID for one that is none. */
  artifact(
    name: string,
    source: ByteSource,
    options?: { readonly mimeType?: string },
  ): Promise<ModuleOutput>;
  /** {@link artifact} of a JSON value; NaN and its like are kept. */
  json(name: string, value: unknown): Promise<ModuleOutput>;
}

/**
 * All that a module's function gets as a step, whether it runs inline, in a thread or in a process of its own.
 * Artifacts in `inputs` have `open`, `bytes`, `text` and `json`.
 */
export interface ModuleContext<P = JsonObject, I = unknown> {
  readonly parameters: P;
  readonly inputs: I;
  readonly outputs: ModuleOutputs;
  /** Aborted by a cancel, a timeout or a close. */
  readonly signal: AbortSignal;
  /** 1 for the first. */
  readonly attempt: number;
  readonly executionId: string;
  readonly step: string;
  readonly correlationId: string;
  /** In a thread or process, lines of JSON on stdout and stderr, which are the step's log. */
  readonly logger: Logger;
  /** Which item of a fan-out this is, 0 for the first. */
  readonly item?: number;
  /** Of a step that repeats: 1 for the first. */
  readonly iteration?: number;
  /** Where an earlier attempt was, and where the next one goes on. */
  readonly checkpoint: StepCheckpoint;
  /**
   * Where they lie, for libraries that write files or directories themselves: write `v1.tmp` and rename it to `v1`, and so on. In a thread or process only.
   */
  readonly checkpointDir?: string;
  /** The last complete checkpoint of an earlier attempt. */
  readonly checkpointPath?: string;
  /** In a fan-out: once this item has completed, the others are ended. */
  stopSiblings(reason: string): void;
  /** Says how far it has come, from 0 to 1, to whoever watches; as often as you like. */
  progress(share: number, message?: string): void;
  /** The run that stands for this attempt; inline undefined where pipelines are not linked with tracking. */
  readonly run?: StepRun;
}
