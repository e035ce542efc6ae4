import { type AnyRoute, apiBase } from '../src/api/route.ts';

const odd: readonly unknown[] = [
  ...[
    null,
    true,
    -1,
    0,
    1.5,
    1e308,
    2 ** 53,
    '',
    'x'.repeat(3000),
    'a\u0000b',
    '\ud800',
    '%',
    '日本',
  ],
  ...[
    '__proto__',
    'constructor',
    '../..',
    "'; --",
    '2024-13-45',
    [],
    {},
    [[[]]],
    { $number: 'NaN' },
  ],
];

/** Requests that differ from examples here and there; the same for the same seed. */
export class OddRequests {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A request to a row: mostly as its example, given as JSON with the ids that are really there. */
  of(row: AnyRoute, example: string): { readonly path: string; readonly body?: string } {
    const { body, ...fields } = JSON.parse(example) as Record<string, unknown>;
    const given = { ...fields };
    for (const name of [...Object.keys(fields), ...Object.keys(row.query ?? {})]) {
      if (this.#one(10)) given[name] = this.#any();
    }
    const path = row.path.replace(/\{(\w+)\+?\}/g, (_, name: string) => {
      const value = String(given[name]).toWellFormed();
      delete given[name];
      return encodeURIComponent(value) || 'x';
    });
    const query = Object.entries(given).map(([name, of]): [string, string] => [name, String(of)]);
    const whole = `${apiBase}${path}?${new URLSearchParams(query)}`;
    if (body === undefined)
      return row.upload === undefined ? { path: whole } : { path: whole, body: 'bytes' };
    return { path: whole, body: JSON.stringify(this.#one(30) ? this.#any() : this.#changed(body)) };
  }

  #changed(value: unknown): unknown {
    if (Array.isArray(value))
      return value.map((each) => (this.#one(4) ? this.#any() : this.#changed(each)));
    if (typeof value !== 'object' || value === null) return this.#one(4) ? this.#any() : value;
    const kept = Object.entries(value).filter(() => !this.#one(12));
    return Object.fromEntries(
      kept.map(([key, each]) => [key, this.#one(5) ? this.#any() : this.#changed(each)]),
    );
  }

  #any(): unknown {
    return odd[this.#next(odd.length)];
  }

  #one(of: number): boolean {
    return this.#next(of) === 0;
  }

  #next(below: number): number {
    // Knuth's constants; the high bits are the good ones.
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * below);
  }
}
