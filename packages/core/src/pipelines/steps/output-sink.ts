import { createHash } from 'node:crypto';
import type { ArtifactSpace, ByteSource } from '../../contracts/artifact-store.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson, decodeJson, encodeJson, type Json } from '../../json.ts';
import { mimeTypeOf, normaliseArtifactPath } from '../../tracking/artifact-path.ts';
import { maxArtifacts } from '../changes/output-records.ts';
import {
  type ArtifactFacts,
  type OutputOptions,
  packValue,
  StepArtifact,
  type StepOutputs,
} from '../step-artifact.ts';
import { outputPath, type StepState, type StoredOutput, stepLabel } from '../step-execution.ts';

/** JSON outputs up to this size lie in the step's record; larger ones are content. */
const inlineBytes = 16_384;
/** So long after its put no collection takes content that nothing refers to. */
const unguardedMs = 60_000;
/** The name of the content that holds a large JSON output; no artifact may take it. */
const valueName = 'output.json';

/** Whose output it is. */
export type OutputOf = Pick<StepState, 'pipeline' | 'executionId' | 'step' | 'mapKey'>;

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

/** Opens the sink of a step's attempt. */
export type OutputSinks = (where: OutputOf, signal: AbortSignal) => OutputSink;

/** Sinks into `space`; `written` is told of all that they have put there. */
export function createOutputSinks(
  space: ArtifactSpace,
  written: (sha256: string) => void,
): OutputSinks {
  return sink;

  async function put(source: ByteSource, signal: AbortSignal) {
    const content = await space.put(source, { signal });
    written(content.sha256);
    return content;
  }

  function sink(where: OutputOf, signal: AbortSignal): OutputSink {
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
}

/** SHA-256 of a text. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
