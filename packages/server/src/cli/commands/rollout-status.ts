import { setTimeout as sleep } from 'node:timers/promises';
import { KeelsonError, type Platform, type Rollout } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { findDeployment } from '../looking/find-by-id.ts';
import { drawRollout, rolloutLine } from '../looking/rollout-view.ts';

/** `keelson rollout status`. */
export const command: Command = defineCommand({
  description:
    'With --watch it goes on until the rollout ends: a line for each change. Exit code 3 where it was turned back.',
  positionals: { deployment: { summary: 'Its name' } },
  options: {
    watch: { type: 'flag', short: 'w', summary: 'Until it ends' },
    every: { type: 'duration', summary: 'How often to look', default: '2s', min: 100 },
  },
  examples: [
    ['keelson rollout status scoring', 'How far it is'],
    ['keelson rollout status scoring --watch', 'Until it ends'],
  ],
  async run({ positionals: { deployment }, options, out, platform, progress, signal }) {
    const opened = await platform();
    let rollout = await newest(opened, deployment);
    if (!options.watch) {
      out.show(rollout, (view) => drawRollout(view, rollout));
      return codeOf(rollout);
    }
    const shown = progress(deployment, { unit: 'steps', total: rollout.steps.length });
    let told = '';
    for (;;) {
      const line = rolloutLine(rollout);
      if (line !== told) out.item(rollout, line);
      told = line;
      if (isOver(rollout)) {
        shown.end();
        return codeOf(rollout);
      }
      shown.update(rollout.stepIndex, { note: rollout.status });
      await sleep(options.every, undefined, { signal });
      rollout = await opened.deployments.getRollout(rollout.id);
    }
  },
});

async function newest(platform: Platform, name: string): Promise<Rollout> {
  const { deployments } = platform;
  const { name: deployment } = await findDeployment(platform, name);
  const found =
    (await deployments.activeRollout(deployment)) ??
    (await deployments.listRollouts(deployment)).at(-1);
  if (found !== undefined) return found;
  throw new KeelsonError('NOT_FOUND', `${name} has had no rollout.`);
}

function isOver({ status }: Rollout): boolean {
  return status !== 'IN_PROGRESS' && status !== 'PAUSED';
}

function codeOf(rollout: Rollout): number {
  return isOver(rollout) && rollout.status !== 'COMPLETED' ? exitCodes.findings : exitCodes.ok;
}
