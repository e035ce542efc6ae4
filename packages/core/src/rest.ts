/**
 * Resolves after `ms`, or as soon as the signal is aborted; never rejects. With `background` its timer
 * keeps no process alive: for loops that nobody awaits.
 */
export function rest(
  ms: number,
  signal: AbortSignal,
  options: { readonly background?: boolean } = {},
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (options.background === true) timer.unref();
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
