import { api, permissionOf } from './client.ts';
import { useResource } from './resource.ts';

/** A row that is called, such as `rollouts.abort`, and on what; on the workspace when that is left out. */
export type Does = readonly [row: string, resource?: string];

/** Why the person may not call a row on a resource; undefined where they may, or nothing is known yet. */
export function useLack(does: Does | undefined): string | undefined {
  const [row = '', resource] = does ?? [];
  const action = permissionOf(row);
  const known = useResource(`right ${action} ${resource}`, async () =>
    action === undefined ? undefined : await rightOf(action, resource),
  );
  if (known.data === undefined || known.data.allowed) return undefined;
  return `It takes the permission ${action} on ${resource ?? 'the workspace'}: ${known.data.reason}`;
}

type Right = ReturnType<typeof api.access.explain>;
const rights = new Map<string, { readonly at: number; readonly right: Right }>();
const keptMs = 30_000;

/** Asked once for all buttons of a page. */
function rightOf(action: string, resource: string | undefined): Right {
  const key = `${action} ${resource}`;
  const kept = rights.get(key);
  if (kept !== undefined && Date.now() - kept.at < keptMs) return kept.right;
  const right = api.access.explain({ action, ...(resource === undefined ? {} : { resource }) });
  rights.set(key, { at: Date.now(), right });
  right.catch(() => rights.delete(key));
  return right;
}
