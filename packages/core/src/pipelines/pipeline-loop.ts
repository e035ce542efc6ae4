import type { Loop } from '../contracts/loop.ts';
import type { StepEngine } from './engine.ts';
import type { Settling } from './settling.ts';
import type { RunLink } from './steps/run-link.ts';
import type { StepLeases } from './steps/step-leases.ts';

const idleMs = 250;
const sweepMs = 5000;
const collectMs = 15_000;

/**
 * Runs steps of any execution whose functions this process has, as room comes free; every few seconds,
 * and when there is nothing else to do, brings to an end what processes that died have left.
 */
export function createPipelineLoop(parts: {
  readonly engine: StepEngine;
  readonly leases: StepLeases;
  readonly settling: Settling;
  readonly link: RunLink;
  /** Ends tasks of executors whose attempt is over. */
  readonly collect: (signal: AbortSignal) => Promise<boolean>;
}): Loop {
  const { engine, leases, settling, link } = parts;
  let sweptAt = Number.NEGATIVE_INFINITY;
  let collectedAt = Number.NEGATIVE_INFINITY;

  async function sweep(signal: AbortSignal): Promise<boolean> {
    sweptAt = Date.now();
    if (sweptAt - collectedAt > collectMs) {
      collectedAt = sweptAt;
      await parts.collect(signal);
    }
    const dead = await leases.lookForDead();
    const settled = await settling.sweep();
    return (await link.sweep()) || settled || dead;
  }

  return {
    name: 'pipelines',
    idleMs,
    async runOnce(signal) {
      if (Date.now() - sweptAt > sweepMs) await sweep(signal);
      const launched = await engine.pump();
      if (engine.isBusy()) {
        await progress(engine, signal);
        return true;
      }
      return launched > 0 || sweep(signal);
    },
  };
}

/** Until a step here ends, the signal is aborted, or it is time to look for more to do. */
function progress(engine: StepEngine, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, idleMs);
    const stop = engine.onNews((what) => {
      if (what === 'ended') done();
    });
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
