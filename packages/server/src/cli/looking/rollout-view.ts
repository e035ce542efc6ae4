import type { Rollout } from '@keelson/core';
import type { View } from '../output.ts';

/** A rollout, step by step. */
export function drawRollout(view: View, rollout: Rollout): void {
  view.facts({
    rollout: rollout.id,
    candidate: rollout.candidate,
    baseline: rollout.baseline,
    status: rollout.status,
    began: view.ago(rollout.beganAt),
    reason: rollout.reason || undefined,
  });
  view.heading('Steps');
  view.table(
    rollout.steps.map((step, index) => ({ ...step, index })),
    [
      { title: 'STEP', value: ({ index }) => index + 1, align: 'right' },
      {
        title: 'TRAFFIC',
        value: ({ weightPercent, shadow }) => (shadow ? 'shadow' : `${weightPercent} %`),
        align: 'right',
      },
      { title: 'STATE', value: ({ index, manual }) => stateOf(rollout, index, manual === true) },
      { title: 'AT LEAST', value: (step) => view.duration(step.minDurationMs), align: 'right' },
      { title: 'GATES', value: ({ gates }) => gates.length, align: 'right' },
    ],
  );
  if (rollout.latest.length > 0) {
    view.heading('Gates');
    view.table(rollout.latest, [
      { title: 'GATE', value: ({ gate }) => gateText(gate) },
      { title: 'OUTCOME', value: ({ outcome }) => outcome },
      { title: 'NOTE', value: ({ problem }) => problem },
    ]);
  }
  const decisions = rollout.decisions.slice(-5);
  if (decisions.length === 0) return;
  view.heading('Last decisions');
  view.table(decisions, [
    { title: 'WHEN', value: ({ at }) => view.ago(at), align: 'right' },
    { title: 'STEP', value: ({ stepIndex }) => stepIndex + 1, align: 'right' },
    { title: 'WHAT', value: ({ action }) => action },
    { title: 'WHY', value: ({ reason }) => reason },
  ]);
}

/** In one line, for those who watch without a terminal. */
export function rolloutLine(rollout: Rollout): string {
  const { status, stepIndex, steps, candidate, latest } = rollout;
  const weight = steps[stepIndex]?.weightPercent ?? 0;
  const gates = latest.map(({ outcome }) => outcome).join(', ');
  const step = `step ${Math.min(stepIndex + 1, steps.length)} of ${steps.length}, ${weight} %`;
  return `${candidate}: ${status}, ${step}${gates === '' ? '' : `, gates ${gates}`}`;
}

function stateOf(rollout: Rollout, index: number, manual: boolean): string {
  if (rollout.status === 'COMPLETED' || index < rollout.stepIndex) return 'passed';
  if (index > rollout.stepIndex) return '';
  if (rollout.status === 'PAUSED') return 'paused';
  if (rollout.status !== 'IN_PROGRESS') return 'turned back';
  return manual ? 'now; waits for promote' : 'now';
}

function gateText(gate: unknown): string {
  const { gate: kind, metric, name } = gate as Readonly<Record<string, unknown>>;
  return [kind, metric ?? name].filter((part) => part !== undefined).join(' ');
}
