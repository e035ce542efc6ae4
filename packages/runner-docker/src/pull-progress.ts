import type { TaskProgress } from '@keelson/core';

/** A line of what an engine tells while it pulls. */
export interface PullLine {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

/** The lines of an engine's answer, JSON each. */
export async function* pullLines(
  answer: AsyncIterable<Uint8Array>,
): AsyncGenerator<PullLine, void, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of answer) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as PullLine;
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as PullLine;
}

interface Layer {
  fetched: number;
  unpacked: number;
  total: number;
}

/** How far a pull has come, by what an engine tells of each layer. */
export class PullProgress {
  readonly #image: string;
  readonly #layers = new Map<string, Layer>();
  #seen: TaskProgress;

  constructor(image: string) {
    this.#image = image;
    this.#seen = { share: 0, message: `pulling ${image}` };
  }

  /** Half of it is fetching, half is unpacking; layers of a size that is not told are left out. */
  get seen(): TaskProgress {
    return this.#seen;
  }

  take({ id, status, progressDetail }: PullLine): void {
    if (id === undefined) return;
    const { current = 0, total = 0 } = progressDetail ?? {};
    const layer = this.#layers.get(id) ?? { fetched: 0, unpacked: 0, total: 0 };
    layer.total = Math.max(layer.total, total);
    if (status === 'Downloading') layer.fetched = current;
    if (status === 'Download complete' || status === 'Extracting') layer.fetched = layer.total;
    if (status === 'Extracting') layer.unpacked = current;
    if (status === 'Pull complete') layer.fetched = layer.unpacked = layer.total;
    this.#layers.set(id, layer);
    const all = [...this.#layers.values()];
    const sum = (of: keyof Layer): number => all.reduce((n, each) => n + each[of], 0);
    const [bytes, fetched] = [sum('total'), sum('fetched')];
    if (bytes === 0) return;
    this.#seen = {
      share: (fetched + sum('unpacked')) / (2 * bytes),
      message:
        fetched < bytes
          ? `pulling ${this.#image}: ${megabytes(fetched)} of ${megabytes(bytes)} MB`
          : `unpacking ${this.#image}`,
    };
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
