/** What `waiting` gives, unless `signal` is aborted before: then its reason. */
export function orAborted<T>(waiting: Promise<T>, signal: AbortSignal): Promise<T> {
  // Not Promise.race on one long-lived promise: that keeps a reaction for each time it is waited for.
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    waiting.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
