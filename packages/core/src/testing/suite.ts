/** One promise of a contract, as something that can be run against an adapter. */
export interface Case<H> {
  /** Unique in its suite; lower-case words, `topic: what`. */
  readonly name: string;
  /** The promise in a sentence, as the contract says it. */
  readonly promise: string;
  /** Resolves when the adapter keeps the promise; rejects saying what was expected and what came. */
  run(harness: H): Promise<void>;
}

/** The promises of one contract. Knows no test runner. */
export interface Suite<H> {
  /** The contract's name, such as `MetadataStore`. */
  readonly contract: string;
  readonly cases: readonly Case<H>[];
}

/** Makes what one case needs: a fresh, empty world. It is disposed when the case is over. */
export type OpenHarness<H extends AsyncDisposable> = () => H | Promise<H>;

/** How one case went. */
export interface CaseResult {
  readonly name: string;
  readonly promise: string;
  readonly passed: boolean;
  /** What went wrong; undefined when it passed. */
  readonly error: unknown;
  readonly tookMs: number;
}

/**
 * Runs one case in a harness of its own; rejects as the case does. A case that is not over after
 * `timeoutMs` (30,000 when left out) fails. What the harness throws while it closes fails the case too.
 *
 * In vitest: `for (const c of suite.cases) test(c.name, () => runCase(c, open))`.
 */
export async function runCase<H extends AsyncDisposable>(
  suiteCase: Case<H>,
  openHarness: OpenHarness<H>,
  options: { readonly timeoutMs?: number } = {},
): Promise<void> {
  await using harness = await openHarness();
  const timeoutMs = options.timeoutMs ?? 30_000;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`"${suiteCase.name}" was not over after ${timeoutMs} ms.`));
    }, timeoutMs);
  });
  try {
    await Promise.race([suiteCase.run(harness), limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs every case, one after another, each in a harness of its own; never rejects for a failed case. */
export async function runSuite<H extends AsyncDisposable>(
  suite: Suite<H>,
  openHarness: OpenHarness<H>,
  options: { readonly timeoutMs?: number } = {},
): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = [];
  for (const suiteCase of suite.cases) {
    const startedAt = performance.now();
    let error: unknown;
    let passed = true;
    try {
      await runCase(suiteCase, openHarness, options);
    } catch (cause) {
      passed = false;
      error = cause;
    }
    const { name, promise } = suiteCase;
    results.push({
      name,
      promise,
      passed,
      error,
      tookMs: performance.now() - startedAt,
    });
  }
  return results;
}
