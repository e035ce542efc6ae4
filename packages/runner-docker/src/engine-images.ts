import { type ErrorCode, isKeelsonError, KeelsonError, type SubmitOptions } from '@keelson/core';
import { type EngineApi, isFault } from './engine-api.ts';
import { PullProgress, pullLines } from './pull-progress.ts';
import { registryHeader, registryOf } from './registry-auth.ts';
import type { PullPolicy, RunnerOptions } from './runner-options.ts';

/** A pull that goes on as long as somebody waits for it. */
interface Pulling {
  readonly done: Promise<void>;
  readonly waiting: Set<SubmitOptions>;
  readonly stop: AbortController;
}

const policies: readonly PullPolicy[] = ['missing', 'always', 'never'];
/** So long what was pulled to know its digest is what a task runs that is made of it. */
const freshMs = 2000;

/** The images of an engine, pulled as the options say. */
export class EngineImages {
  readonly #api: EngineApi;
  readonly #options: RunnerOptions;
  readonly #pulling = new Map<string, Pulling>();
  /** Digests of what was pulled a moment ago, by the image's name; each good for one task. */
  readonly #fresh = new Map<string, { readonly digest: string; readonly at: number }>();

  /** INVALID for a policy that is none. */
  constructor(api: EngineApi, options: RunnerOptions) {
    const { pull = 'missing' } = options;
    if (!policies.includes(pull)) {
      throw new KeelsonError(
        'INVALID',
        `pull must be one of ${policies.join(', ')}, not ${String(pull)}.`,
      );
    }
    this.#api = api;
    this.#options = options;
  }

  /** The digest of what the image is now; rejects as {@link pull}, and UNAVAILABLE at once where no engine answers. */
  async digest(image: string, options: SubmitOptions = {}): Promise<string> {
    const always = this.#options.pull === 'always';
    let found = always ? undefined : await this.#find(image);
    if (found === undefined) {
      await this.pull(image, options);
      found = await this.#find(image);
    }
    if (found !== undefined) {
      if (always) this.#fresh.set(image, { digest: found, at: performance.now() });
      return found;
    }
    throw new KeelsonError('NOT_FOUND', `There is no image ${image} at ${this.#api.name}.`);
  }

  /**
   * What a task is made of: the name, of which a missing image is pulled then; with `always` the digest of what the
   * registry has now, so that all processes of a gang run the same. Rejects as {@link pull}.
   */
  async toRun(image: string, options: SubmitOptions): Promise<string> {
    if (this.#options.pull !== 'always') return image;
    const known = this.#fresh.get(image);
    this.#fresh.delete(image);
    if (known !== undefined && performance.now() - known.at < freshMs) return known.digest;
    const digest = await this.digest(image, options);
    this.#fresh.delete(image);
    return digest;
  }

  async #find(image: string): Promise<string | undefined> {
    const path = `/images/${encodeURIComponent(image)}/json`;
    try {
      return (await this.#api.found<{ readonly Id: string }>(path, { once: true }))?.Id;
    } catch (error) {
      // What is no name of an image.
      if (isFault(error, 400, 500)) throw this.#refused(image, error.message, undefined);
      throw error;
    }
  }

  /**
   * Fetches it; once, for all who ask at a time, and no further when none of them wants it any more. NOT_FOUND
   * where there is no such image or it may not be pulled, FORBIDDEN where the registry refuses who asks,
   * UNAVAILABLE where registry or engine do not answer or break off.
   */
  async pull(image: string, options: SubmitOptions = {}): Promise<void> {
    const { signal } = options;
    signal?.throwIfAborted();
    const pulling = this.#pulling.get(image) ?? this.#begin(image);
    pulling.waiting.add(options);
    const aborted = Promise.withResolvers<never>();
    const giveUp = (): void => aborted.reject(signal?.reason);
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      await Promise.race([pulling.done, aborted.promise]);
    } finally {
      signal?.removeEventListener('abort', giveUp);
      pulling.waiting.delete(options);
      if (pulling.waiting.size === 0) {
        if (this.#pulling.get(image) === pulling) this.#pulling.delete(image);
        pulling.stop.abort(new KeelsonError('ABORTED', `Nobody waits for ${image} any more.`));
      }
    }
  }

  #begin(image: string): Pulling {
    const stop = new AbortController();
    const waiting = new Set<SubmitOptions>();
    const done = this.#pull(image, stop.signal, (progress) => {
      for (const { onProgress } of waiting) onProgress?.(progress.seen);
    }).finally(() => {
      if (this.#pulling.get(image) === pulling) this.#pulling.delete(image);
    });
    // Those who wait hear of it; there may be none left.
    done.catch(() => undefined);
    const pulling = { done, waiting, stop };
    this.#pulling.set(image, pulling);
    return pulling;
  }

  async #pull(
    image: string,
    signal: AbortSignal,
    tell: (progress: PullProgress) => void,
  ): Promise<void> {
    const { pull = 'missing', registryAuth } = this.#options;
    if (pull === 'never') {
      throw new KeelsonError(
        'NOT_FOUND',
        `There is no image ${image} at ${this.#api.name}, and pulling is off (\`pull: 'never'\`): load or build it there first.`,
      );
    }
    // Without a tag the engine would fetch every one there is.
    const named = /@sha256:|:[\w][\w.-]*$/.test(image) ? image : `${image}:latest`;
    const auth = registryHeader(image, registryAuth);
    const progress = new PullProgress(image);
    try {
      const lines = await this.#api.stream('POST', '/images/create', {
        query: { fromImage: named },
        headers: auth === undefined ? {} : { 'x-registry-auth': auth },
        signal,
      });
      tell(progress);
      for await (const told of pullLines(lines)) {
        if (told.error !== undefined) throw this.#refused(image, told.error, auth);
        progress.take(told);
        tell(progress);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (isFault(error, 400, 401, 403, 404, 500, 502, 503, 504)) {
        throw this.#refused(image, error.message, auth);
      }
      if (isKeelsonError(error)) throw error;
      const message = `The engine at ${this.#api.name} broke off while it pulled ${image}: ${(error as Error).message}.`;
      throw new KeelsonError('UNAVAILABLE', message, { cause: error });
    }
  }

  /** What an engine says of a pull, as an error that says what to do. */
  #refused(image: string, why: string, auth: string | undefined): KeelsonError {
    const code = pullCode(why);
    const registry = registryOf(image);
    const asksWho = code === 'FORBIDDEN' || /login|authenti/i.test(why);
    const remedy = !asksWho
      ? ''
      : auth === undefined
        ? ` \`registryAuth\` says who one is at ${registry}.`
        : ` ${registry} does not take the name and password of \`registryAuth\`, or does not let them have it.`;
    const what =
      this.#options.pull === 'always'
        ? `could not be pulled to ${this.#api.name} for this task (\`pull: 'always'\`)`
        : `is not at ${this.#api.name} and could not be pulled`;
    return new KeelsonError(code, `The image ${image} ${what}: ${why}.${remedy}`);
  }
}

/** Engines answer most of what registries refuse with one status: their words tell what it was. */
function pullCode(why: string): ErrorCode {
  const isNotThere =
    /(manifest|name) unknown|not found|not exist|no such image|invalid reference|no matching manifest/i;
  if (isNotThere.test(why)) return 'NOT_FOUND';
  if (/unauthorized|denied|forbidden|basic auth|authentication required/i.test(why)) {
    return 'FORBIDDEN';
  }
  return 'UNAVAILABLE';
}
