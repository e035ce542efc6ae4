const adjectives = [
  'amber',
  'brisk',
  'calm',
  'clear',
  'dapper',
  'eager',
  'fair',
  'gentle',
  'hardy',
  'keen',
  'lively',
  'mellow',
  'nimble',
  'placid',
  'quiet',
  'ready',
  'sturdy',
  'sunny',
  'swift',
  'tidal',
  'trim',
  'vivid',
  'warm',
  'windward',
] as const;
const nouns = [
  'anchor',
  'beacon',
  'brig',
  'capstan',
  'compass',
  'cutter',
  'dory',
  'frigate',
  'galley',
  'halyard',
  'harbour',
  'ketch',
  'lantern',
  'mast',
  'oar',
  'quay',
  'rudder',
  'schooner',
  'sextant',
  'skiff',
  'sloop',
  'spar',
  'tiller',
  'yawl',
] as const;

/** A readable name for a run, drawn from its id: `brisk-schooner-417`. */
export function runNameFor(id: string): string {
  // The last 12 hex digits of a UUIDv7 are random.
  const bits = Number.parseInt(id.slice(-12), 16);
  const adjective = adjectives[bits % adjectives.length] ?? 'calm';
  const noun = nouns[Math.floor(bits / 32) % nouns.length] ?? 'keel';
  return `${adjective}-${noun}-${Math.floor(bits / 1024) % 1000}`;
}
