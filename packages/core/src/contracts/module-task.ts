import type { Json, JsonObject } from '../json.ts';

/**
 * The `input` of a task that runs a module's export for a step: what its function's context is made of where
 * it runs. Artifacts in `inputs` stand as `{ $artifact: facts }`; their bytes are files.
 */
export interface ModuleTask {
  readonly parameters: JsonObject;
  readonly inputs: JsonObject;
  /** SHA-256 of an artifact → its file, as the task sees it. */
  readonly artifacts: Readonly<Record<string, string>>;
  readonly attempt: number;
  readonly executionId: string;
  readonly step: string;
  readonly correlationId: string;
  readonly item?: number;
  readonly iteration?: number;
  /** Where outputs are written, one file each. */
  readonly outputDir: string;
  /** A file of JSON lines for metrics, params and tags. */
  readonly metricsPath: string;
  readonly checkpointDir?: string;
  /** The last complete checkpoint. */
  readonly checkpointPath?: string;
  /** Which attempt made it. */
  readonly checkpointAttempt?: number;
}

/** The `output` of such a task: the value, in which `{ $output: { name, mimeType } }` stands for a file it wrote. */
export interface ModuleResult {
  readonly value: Json;
  /** Why the other items of the fan-out are to end. */
  readonly stopSiblings?: string;
}
