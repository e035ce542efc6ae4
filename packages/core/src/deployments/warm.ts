import type { Deployment, WarmVersion } from './deployment.ts';

/** How long a version stays warm where nothing else is said. */
const defaultWarmMs = 86_400_000;
/** How many versions are kept warm at most: each has its replicas. */
const mostWarm = 2;

/** What is kept warm from a time on, and what is no longer. */
export interface Warmth {
  /** The one that left last first. */
  readonly warm: readonly WarmVersion[];
  readonly released: readonly string[];
}

/** What is warm once `leaving` answers no longer and only `answering` does. */
export function warmAfter(
  { warm, warmMs = defaultWarmMs }: Pick<Deployment, 'warm' | 'warmMs'>,
  traffic: { readonly leaving: readonly string[]; readonly answering: readonly string[] },
  at: number,
): Warmth {
  const left = traffic.leaving.map((versionId) => ({ versionId, since: at, until: at + warmMs }));
  const all = [...left, ...warm.filter(({ versionId }) => !traffic.leaving.includes(versionId))];
  const wanted = all.filter(({ versionId }) => !traffic.answering.includes(versionId));
  const kept = wanted.filter(({ until }) => until > at).slice(0, mostWarm);
  const ids = new Set(kept.map(({ versionId }) => versionId));
  const gone = wanted.filter(({ versionId }) => !ids.has(versionId));
  return { warm: kept, released: gone.map(({ versionId }) => versionId) };
}

/** When the first of them is released. */
export function firstRelease(warm: readonly WarmVersion[]): number | undefined {
  return warm.length === 0 ? undefined : Math.min(...warm.map(({ until }) => until));
}
