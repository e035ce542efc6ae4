import { isKeelsonError, KeelsonError, type Logger } from '@keelson/core';
import type { ScalingSignals } from '../scaling/version-scaler.ts';
import type { ServingSource } from '../serving-source.ts';
import {
  type LoadedVersion,
  loadVersion,
  type ReplicaSettings,
  settingsKey,
} from './loaded-version.ts';

/** What a shelf is made of. */
export interface VersionShelfOptions {
  readonly deployment: string;
  readonly source: ServingSource;
  /** How long a version that leaves may take to finish what it has. */
  readonly drainMs: number;
  readonly logger: Logger | undefined;
  readonly signals?: ScalingSignals | undefined;
}

interface Failure {
  readonly error: KeelsonError;
  readonly retryAt: number;
  readonly backOffMs: number;
}

const firstBackOffMs = 2000;
const maxBackOffMs = 60_000;

/**
 * The versions of a deployment that are loaded in this process. What is loaded with other settings takes the place of
 * what was there once it is warm; what leaves finishes its requests. One that failed is tried again with back-off.
 */
export class VersionShelf {
  readonly #options: VersionShelfOptions;
  readonly #versions = new Map<string, LoadedVersion>();
  readonly #loading = new Map<string, Promise<LoadedVersion>>();
  readonly #failures = new Map<string, Failure>();
  readonly #draining = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: VersionShelfOptions) {
    this.#options = options;
  }

  get(versionId: string): LoadedVersion | undefined {
    return this.#versions.get(versionId);
  }

  values(): Iterable<LoadedVersion> {
    return this.#versions.values();
  }

  /** Whether the version is loaded with these settings, or not worth trying yet. */
  isSettled(versionId: string, settings: ReplicaSettings): boolean {
    const key = settingsKey(settings);
    if (this.#versions.get(versionId)?.settingsKey === key) return true;
    const failure = this.#failures.get(`${versionId} ${key}`);
    return failure !== undefined && performance.now() < failure.retryAt;
  }

  /** The version, loaded and warm. Rejects with what keeps it from that, at once while it is not to be tried again. */
  load(versionId: string, settings: ReplicaSettings): Promise<LoadedVersion> {
    const loaded = this.#versions.get(versionId);
    const key = settingsKey(settings);
    if (loaded?.settingsKey === key) return Promise.resolve(loaded);
    const place = `${versionId} ${key}`;
    const failure = this.#failures.get(place);
    if (failure !== undefined && performance.now() < failure.retryAt)
      return Promise.reject(failure.error);
    let loading = this.#loading.get(place);
    if (loading === undefined) {
      loading = this.#loadNow(versionId, settings, place).finally(() => {
        this.#loading.delete(place);
      });
      this.#loading.set(place, loading);
    }
    return loading;
  }

  /** Lets all go but those that are named. */
  keepOnly(versionIds: ReadonlySet<string>): void {
    for (const [versionId, version] of this.#versions) {
      if (versionIds.has(versionId)) continue;
      this.#versions.delete(versionId);
      this.#drain(version, this.#options.drainMs);
    }
  }

  /** Resolves when what has left has stopped. */
  async drained(): Promise<void> {
    await Promise.all(this.#draining);
  }

  /** Lets all go, each with `timeoutMs` for what it has; resolves when they have stopped. Nothing is loaded any more. */
  async close(timeoutMs: number): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled(this.#loading.values());
    for (const version of this.#versions.values()) this.#drain(version, timeoutMs);
    this.#versions.clear();
    await this.drained();
  }

  async #loadNow(
    versionId: string,
    settings: ReplicaSettings,
    place: string,
  ): Promise<LoadedVersion> {
    const { deployment, source, logger, drainMs, signals } = this.#options;
    try {
      const model = await source.model(versionId, { signal: this.#stopping.signal });
      const version = await loadVersion(deployment, model, settings, logger, signals);
      const before = this.#versions.get(versionId);
      this.#versions.set(versionId, version);
      if (before !== undefined) this.#drain(before, drainMs);
      this.#failures.delete(place);
      return version;
    } catch (cause) {
      const error = asKeelsonError(cause);
      const last = this.#failures.get(place)?.backOffMs ?? firstBackOffMs / 2;
      const backOffMs = Math.min(maxBackOffMs, last * 2);
      this.#failures.set(place, { error, backOffMs, retryAt: performance.now() + backOffMs });
      throw error;
    }
  }

  #drain({ pool }: LoadedVersion, drainMs: number): void {
    const drained = pool
      .close({ timeoutMs: drainMs })
      .finally(() => this.#draining.delete(drained));
    this.#draining.add(drained);
  }
}

/** An error as one of ours; INTERNAL for what is none. */
export function asKeelsonError(error: unknown): KeelsonError {
  if (isKeelsonError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new KeelsonError('INTERNAL', message, { cause: error });
}
