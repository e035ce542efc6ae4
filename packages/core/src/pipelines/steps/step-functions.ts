import semver from 'semver';
import type { Pipeline } from '../define-pipeline.ts';
import { differs } from '../definitions.ts';

/** The pipelines whose functions this process has. One for all services of a platform. */
export class StepFunctions {
  readonly #byDigest = new Map<string, Pipeline>();

  /** CONFLICT when this process already has another definition under the name and version. */
  add(pipeline: Pipeline): void {
    const { name, version } = pipeline.definition;
    for (const other of this.#byDigest.values()) {
      const same = other.definition.name === name && other.definition.version === version;
      if (same && other.digest !== pipeline.digest) throw differs(name, version);
    }
    this.#byDigest.set(pipeline.digest, pipeline);
  }

  get(digest: string): Pipeline | undefined {
    return this.#byDigest.get(digest);
  }

  /** The version named, or the highest one. */
  find(name: string, version?: string): Pipeline | undefined {
    return [...this.#byDigest.values()]
      .filter(({ definition }) => definition.name === name)
      .filter(({ definition }) => version === undefined || definition.version === version)
      .toSorted((a, b) => semver.rcompare(a.definition.version, b.definition.version))[0];
  }

  get digests(): readonly string[] {
    return [...this.#byDigest.keys()];
  }
}
