import type { Work } from '../src/testing/executor-suite.ts';

interface Context {
  readonly parameters: unknown;
  readonly signal: AbortSignal;
}

/** A {@link Work} as a module's function: it gets it as its parameters. */
export async function perform({ parameters, signal }: Context): Promise<number> {
  const work = parameters as Work;
  if (work.does === 'exit' && work.code !== 0) throw new Error(`exit ${work.code}`);
  if (work.does === 'print') {
    for (const { stream, text } of work.lines) process[stream].write(text);
  }
  if (work.does === 'fill') {
    const all: number[][] = [];
    for (let size = 0; size < work.memoryBytes; size += 800_000)
      all.push(new Array(100_000).fill(size));
    return all.length;
  }
  if (work.does === 'hang') {
    process.stdout.write('hanging\n');
    // A function that never pauses heeds nothing.
    if (!work.heeds) while (performance.now() > 0);
    await new Promise((_, reject) => {
      // Keeps the thread alive until it is told to end.
      const timer = setInterval(() => undefined, 1000);
      const stop = (): void => {
        clearInterval(timer);
        reject(signal.reason);
      };
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
  }
  return 1;
}
