import type { Services } from '@keelson/core';
import { badInput } from '../read-input.ts';
import { durationOf } from '../time-text.ts';

/** What monitoring is asked about. */
export interface Watched {
  /** Of a deployment, of a model that has one deployment, or `watch:` and the name of a watched function. */
  readonly name: string;
}

/** The path parameter that says {@link Watched}. */
export const watchedText =
  'A deployment, a model that has one deployment, or `watch:` and the name of a watched function';

/**
 * The id under which monitoring knows a name. NOT_FOUND where there is none; INVALID, naming them, for a model that has
 * several deployments.
 */
export async function watchedIdOf(services: Services, name: string): Promise<string> {
  return name.startsWith('watch:') ? name : (await watchedDeployment(services, name)).id;
}

/** The deployment of the name, or the one of the model. */
export async function watchedDeployment(
  { deployments }: Services,
  name: string,
): ReturnType<Services['deployments']['get']> {
  const found = await deployments.find(name);
  if (found !== undefined) return found;
  const { deployments: all } = await deployments.list({ model: name, limit: 20 });
  const [only] = all;
  if (all.length === 1 && only !== undefined) return only;
  if (only === undefined) return deployments.get(name);
  throw badInput([
    {
      path: 'path.name',
      message: `is a model of several deployments: ${all.map((each) => each.name).join(', ')}`,
    },
  ]);
}

/** Such as `24h`, in ms. INVALID, naming the field, for what is none. */
export function lengthOf(field: string, text: string): number {
  const ms = durationOf(text);
  if (ms !== undefined && ms > 0) return ms;
  throw badInput([{ path: field, message: 'is no length of time, such as 5m, 1h or 1d' }]);
}
