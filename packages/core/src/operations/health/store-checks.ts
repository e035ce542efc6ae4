import { randomBytes } from 'node:crypto';
import type { ArtifactSpace } from '../../contracts/artifact-store.ts';
import type { HealthCheck } from '../../contracts/caretaker.ts';
import type { Scope } from '../../contracts/scope.ts';
import { schedules } from './check-schedules.ts';

/** Where checks and probes put what they make; nobody may open it. */
export const healthWorkspace = '~health';

const contentBytes = 1024;
/** What a check that was killed left behind is removed when it is so old. */
const leftMs = 600_000;

/** The checks of the stores themselves. `space` is that of {@link healthWorkspace}. */
export function storeChecks(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  space: ArtifactSpace,
): readonly HealthCheck[] {
  return [
    {
      ...schedules.readiness,
      name: 'database',
      component: 'database',
      kind: 'readiness',
      critical: true,
      async run(signal) {
        const startedAt = performance.now();
        await scope.metadata.ping({ signal });
        const roundTripMs = Math.round((performance.now() - startedAt) * 100) / 100;
        return { status: 'HEALTHY', message: 'It answers.', details: { roundTripMs } };
      },
    },
    {
      ...schedules.deep,
      failureThreshold: 2,
      name: 'artifact write, read, delete',
      component: 'artifacts',
      kind: 'deep',
      critical: true,
      run: (signal) => writeReadDelete(space, scope, signal),
    },
  ];
}

async function writeReadDelete(
  space: ArtifactSpace,
  scope: Pick<Scope, 'clock'>,
  signal: AbortSignal,
): ReturnType<HealthCheck['run']> {
  const bytes = randomBytes(contentBytes);
  const { sha256 } = await space.put(bytes, { signal });
  try {
    const stream = await space.open(sha256, undefined, signal);
    const read = Buffer.from(await new Response(stream).arrayBuffer());
    if (!read.equals(bytes)) {
      return { status: 'UNHEALTHY', message: `Content ${sha256} was read otherwise than written.` };
    }
  } finally {
    await space.remove(sha256);
  }
  for await (const { sha256: left, storedAt } of space.list()) {
    signal.throwIfAborted();
    const storedBefore = scope.clock.now() - leftMs;
    if (storedAt < storedBefore) await space.remove(left, { storedBefore });
  }
  return { status: 'HEALTHY', message: 'Content is written, read and removed.' };
}
