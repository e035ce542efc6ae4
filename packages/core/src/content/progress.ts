const progressEveryMs = 200;

/** A teller of progress that passes on a few calls a second only. */
export function throttled(tell: ((bytes: number) => void) | undefined): (bytes: number) => void {
  if (tell === undefined) return () => undefined;
  let toldAt = performance.now();
  return (bytes) => {
    const now = performance.now();
    if (now - toldAt < progressEveryMs) return;
    toldAt = now;
    tell(bytes);
  };
}
