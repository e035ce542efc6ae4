import type { Execution } from '@keelson/core';
import type { JSX } from 'preact';
import { Ago, Scroll, Status } from '../../parts/basics.tsx';
import { showDuration, showValue } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';
import { useNow } from './gantt.tsx';

/** What an execution can be. */
export const statuses = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const;

/** Executions, one a line. */
export function ExecutionTable({
  executions,
  isOfOne = false,
}: {
  readonly executions: readonly Execution[];
  /** All are of one pipeline. */
  readonly isOfOne?: boolean;
}): JSX.Element {
  const now = useNow(executions.some(({ status }) => status === 'RUNNING'));
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            <th>Execution</th>
            <th>Status</th>
            <th>Steps</th>
            <th>Queued</th>
            <th class="number">Took</th>
            <th>Started by</th>
            <th>Parameters</th>
          </tr>
        </thead>
        <tbody>
          {executions.map((each) => (
            <tr key={each.id}>
              <td>
                <a href={to('pipelines', each.pipeline, each.id)}>
                  {isOfOne ? '' : `${each.pipeline} `}
                  <code>…{each.id.slice(-8)}</code>
                </a>
              </td>
              <td>
                <Status of={each.paused ? 'PAUSED' : each.status} />
              </td>
              <td>
                <Progress of={each} />
              </td>
              <td>
                <Ago at={each.queuedAt} />
              </td>
              <td class="number">{tookOf(each, now)}</td>
              <td>
                {each.trigger.toLowerCase()} <span class="faint">{each.triggeredBy}</span>
              </td>
              <td class="parameters">{parametersText(each)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** How many of its steps have ended. */
export function Progress({ of }: { readonly of: Execution }): JSX.Element {
  const done = of.totalSteps - of.openSteps;
  return (
    <span class="progress">
      <progress value={done} max={of.totalSteps} aria-label="Steps that have ended" />
      {done}/{of.totalSteps}
    </span>
  );
}

/** How long it took, or takes so far. */
export function tookOf({ startedAt, endedAt }: Execution, now: number): string {
  return startedAt === undefined ? '–' : showDuration((endedAt ?? now) - startedAt);
}

function parametersText({ parameters }: Execution): string {
  return Object.entries(parameters)
    .map(([key, value]) => `${key}=${showValue(value)}`)
    .join(' ');
}
