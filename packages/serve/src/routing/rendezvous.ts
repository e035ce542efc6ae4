/** Something to choose by weight. */
export interface Arm {
  readonly versionId: string;
  readonly weightPercent: number;
  /** What is hashed for the arm; its version id when left out. */
  readonly key?: string;
}

/** Arms made ready for many choices with one salt. */
export interface PreparedArms {
  readonly arms: readonly (Arm & { readonly state: number })[];
}

const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;
const separator = '\u001f';

/** Prepares arms for {@link pickArm}; those of weight 0 are never chosen. */
export function prepareArms(salt: string, arms: readonly Arm[]): PreparedArms {
  return {
    arms: arms
      .filter((arm) => arm.weightPercent > 0)
      .map((arm) => ({
        ...arm,
        state: fnv1a(offsetBasis, `${salt}${separator}${arm.key ?? arm.versionId}${separator}`),
      })),
  };
}

/**
 * Chooses an arm for a key by weighted rendezvous hashing: the largest −weight / ln(u), u drawn from salt,
 * arm and key. Shares follow the weights; one key keeps its arm; raising one arm's weight moves keys to that arm
 * only, and no more than its share grows. Undefined when no arm has weight.
 */
export function pickArm(prepared: PreparedArms, key: string): string | undefined {
  const { arms } = prepared;
  if (arms.length === 1) return arms[0]?.versionId;
  let best: string | undefined;
  let bestScore = 0;
  for (const arm of arms) {
    // FNV mixes its last characters poorly: the finaliser of MurmurHash3 follows.
    const u = (mix32(fnv1a(arm.state, key)) + 0.5) / 2 ** 32;
    const score = -arm.weightPercent / Math.log(u);
    if (score > bestScore) {
      best = arm.versionId;
      bestScore = score;
    }
  }
  return best;
}

/** A number in [0, 1) that depends on the texts alone. */
export function hashFraction(salt: string, key: string): number {
  return mix32(fnv1a(fnv1a(offsetBasis, `${salt}${separator}`), key)) / 2 ** 32;
}

/** FNV-1a over UTF-16 code units, from a state. */
function fnv1a(state: number, text: string): number {
  let hash = state;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), prime);
  return hash;
}

function mix32(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
