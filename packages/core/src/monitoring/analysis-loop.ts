import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { everyRecord } from '../operations/every-record.ts';
import type { Monitoring } from './monitoring.ts';

/** How often deployments are analysed, in ms, when nothing else is said. */
const defaultAnalysisMs = 600_000;
/** How often while more attention is paid to one. */
const attentiveMs = 60_000;

/**
 * Analyses what came in since the last time, in small batches: the labels of each deployment that is held to rules
 * (`watchLabels`), and the losses of each that has a response policy. Times are whole multiples of the interval, by the
 * platform's clock, so that processes which do the same do it once.
 */
export function createAnalysisLoop(
  scope: Scope,
  monitoring: Pick<Monitoring, 'evaluate' | 'analyseDrift' | 'responses'>,
  everyMs: number = defaultAnalysisMs,
): Loop {
  /** What this process has analysed: key → up to when. */
  const done = new Map<string, number>();

  async function isDue(key: string, deploymentId: string): Promise<number | undefined> {
    const attention = await monitoring.responses.attention(deploymentId);
    const ms = attention === undefined ? everyMs : Math.min(everyMs, attentiveMs);
    const at = Math.floor(scope.clock.now() / ms) * ms;
    const last = done.get(key);
    return last !== undefined && last >= at ? undefined : at;
  }

  return {
    name: 'analyses',
    idleMs: 5_000,
    async runOnce(signal) {
      let fault: unknown;
      const analyse = async (
        kind: string,
        deploymentId: string,
        work: (at: number) => Promise<unknown>,
      ): Promise<void> => {
        const key = `${kind}:${deploymentId}`;
        try {
          const at = await isDue(key, deploymentId);
          if (at === undefined) return;
          await work(at);
          done.set(key, at);
        } catch (error) {
          // One that cannot be analysed keeps no other waiting; one that was removed meanwhile is none.
          if (!isKeelsonError(error, 'NOT_FOUND')) fault ??= error;
        }
      };
      for await (const { id } of everyRecord(scope, 'monitor', { body: false })) {
        if (signal.aborted) return false;
        await analyse('labels', id, (at) => monitoring.evaluate(id, { at }));
      }
      for await (const { columns } of everyRecord(scope, 'response_policy', { body: false })) {
        if (signal.aborted) return false;
        const id = columns['deploymentId'] as string;
        await analyse('losses', id, (at) => monitoring.analyseDrift(id, { type: 'CONCEPT', at }));
      }
      if (fault !== undefined) throw fault;
      return false;
    },
  };
}
