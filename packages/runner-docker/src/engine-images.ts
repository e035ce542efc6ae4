import { KeelsonError } from '@keelson/core';
import { type EngineApi, isFault } from './engine-api.ts';
import type { RunnerOptions } from './runner-options.ts';

/** The images of an engine, pulled where they are missing and may be. */
export class EngineImages {
  readonly #api: EngineApi;
  readonly #options: RunnerOptions;
  readonly #pulling = new Map<string, Promise<void>>();

  constructor(api: EngineApi, options: RunnerOptions) {
    this.#api = api;
    this.#options = options;
  }

  /**
   * The digest of what the image is now. NOT_FOUND where the engine has it not and cannot pull it, UNAVAILABLE at
   * once where none answers.
   */
  async digest(image: string): Promise<string> {
    const path = `/images/${encodeURIComponent(image)}/json`;
    let found = await this.#api.found<{ readonly Id: string }>(path, { once: true });
    if (found === undefined) {
      await this.pull(image);
      found = await this.#api.found<{ readonly Id: string }>(path);
    }
    if (found !== undefined) return found.Id;
    throw new KeelsonError('NOT_FOUND', `There is no image ${image} at ${this.#api.name}.`);
  }

  /** Fetches it; once, for all who ask at a time. NOT_FOUND where that cannot be. */
  pull(image: string): Promise<void> {
    let pulling = this.#pulling.get(image);
    if (pulling === undefined) {
      pulling = this.#pull(image).finally(() => this.#pulling.delete(image));
      this.#pulling.set(image, pulling);
    }
    return pulling;
  }

  async #pull(image: string): Promise<void> {
    const { pull = 'missing', registryAuth } = this.#options;
    if (pull === 'never') {
      throw new KeelsonError(
        'NOT_FOUND',
        `There is no image ${image} at ${this.#api.name}, and pulling is off (\`pull: 'never'\`): load or build it there first.`,
      );
    }
    // Without a tag the engine would fetch every one there is.
    const named = /@sha256:|:[\w][\w.-]*$/.test(image) ? image : `${image}:latest`;
    const auth = Buffer.from(JSON.stringify(registryAuth ?? {})).toString('base64url');
    const fail = (why: string): never => {
      throw new KeelsonError(
        'NOT_FOUND',
        `The image ${image} is not at ${this.#api.name} and could not be pulled: ${why}`,
      );
    };
    let rest = '';
    try {
      const headers = { 'x-registry-auth': auth };
      const query = { fromImage: named };
      const lines = await this.#api.stream('POST', '/images/create', { query, headers });
      for await (const piece of lines) {
        const all = (rest + String(piece)).split('\n');
        rest = all.pop() ?? '';
        for (const line of all) {
          const error = line === '' ? undefined : (JSON.parse(line) as { error?: string }).error;
          if (error !== undefined) fail(error);
        }
      }
    } catch (error) {
      if (isFault(error, 400, 404, 500)) fail(error.message);
      throw error;
    }
  }
}
