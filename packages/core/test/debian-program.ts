import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The path of one of Prometheus's programs: where `.ci/run` unpacks them, or where Debian's packages put
 * them. Undefined, said loudly, where it is missing; with `CI` set that fails.
 */
export function findDebianProgram(
  name: 'prometheus' | 'promtool' | 'prometheus-alertmanager',
): string | undefined {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const places = [join(cache, 'keelson-ci/bin'), '/usr/bin', '/usr/local/bin'];
  const found = places.map((place) => join(place, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  const remedy = 'apt-get install prometheus prometheus-alertmanager, or .ci/run';
  const message = `${name} is missing: ${remedy}. Its tests are left out.`;
  if (process.env['CI'] !== undefined) throw new Error(message);
  console.warn(message);
  return undefined;
}
