/** Memory of this process at one time, in MiB. */
export interface MemorySample {
  readonly heap: number;
  readonly rss: number;
}

const mebibyte = 2 ** 20;

/** Follows the memory of this process; exact about the heap only with `--expose-gc`. */
export class MemoryWatch {
  readonly #samples: MemorySample[] = [];

  sample(): void {
    globalThis.gc?.();
    const { heapUsed, rss, external } = process.memoryUsage();
    this.#samples.push({ heap: (heapUsed + external) / mebibyte, rss: rss / mebibyte });
  }

  /**
   * The medians of the second and of the last fifth of the samples: caches and compiled code have grown by the second.
   * Undefined with fewer than ten.
   */
  growth(): { readonly from: MemorySample; readonly to: MemorySample } | undefined {
    const fifth = Math.floor(this.#samples.length / 5);
    if (fifth < 2) return undefined;
    return {
      from: medians(this.#samples.slice(fifth, 2 * fifth)),
      to: medians(this.#samples.slice(-fifth)),
    };
  }
}

function medians(samples: readonly MemorySample[]): MemorySample {
  const median = (values: number[]): number =>
    Math.round(values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN);
  return {
    heap: median(samples.map(({ heap }) => heap)),
    rss: median(samples.map(({ rss }) => rss)),
  };
}
