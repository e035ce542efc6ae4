import type { Rollout } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { api } from '../../api/client.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Section, Status } from '../../parts/basics.tsx';
import { showDuration, showNumber } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';
import { isOpen } from './deployment-state.ts';
import { Verdict } from './evidence.tsx';
import { shortName } from './weights.tsx';

/** A rollout: its steps, where it stands, what was decided and on which evidence. */
export function RolloutOf({
  rollout,
  name,
}: {
  readonly rollout: Rollout;
  /** Of its deployment. */
  readonly name: string;
}): JSX.Element {
  const { candidate, baseline, status, strategy, reason, latest, decisions } = rollout;
  const told = decisions.findLast(({ verdicts }) => verdicts.length > 0);
  return (
    <>
      <Section
        title={
          <>
            {shortName(baseline)} → {shortName(candidate)} <Status of={status} />
          </>
        }
        actions={<RolloutActs rollout={rollout} name={name} />}
      >
        <p class="lead">
          <a href={versionLink(candidate)}>{candidate}</a> takes over from{' '}
          <a href={versionLink(baseline)}>{baseline}</a> by {strategy}, since{' '}
          <Ago at={rollout.beganAt} />: {reason}
        </p>
        <Stepper rollout={rollout} />
      </Section>
      {isOpen(rollout) && (
        <Section title="What its gates say now">
          {latest.length === 0 ? (
            <p class="faint">This step asks for nothing but its time.</p>
          ) : (
            <div class="verdicts">
              {latest.map((verdict) => (
                <Verdict key={verdict.gate.gate} of={verdict} rollout={rollout} />
              ))}
            </div>
          )}
        </Section>
      )}
      <Section title="What was decided, and why">
        {decisions.length === 0 && <p class="faint">Nothing yet.</p>}
        <ol class="decisions">
          {decisions.toReversed().map((decision) => (
            <li key={`${decision.at} ${decision.action} ${decision.stepIndex}`}>
              <details open={decision === told && !isOpen(rollout)}>
                <summary>
                  <Status {...wordsOf(decision.action)} /> at step {decision.stepIndex + 1} (
                  {showNumber(rollout.steps[decision.stepIndex]?.weightPercent)} %),{' '}
                  <Ago at={decision.at} />
                  {decision.by !== undefined && ` by ${decision.by}`}: {decision.reason}
                </summary>
                <div class="verdicts">
                  {decision.verdicts.map((verdict) => (
                    <Verdict key={verdict.gate.gate} of={verdict} rollout={rollout} />
                  ))}
                </div>
              </details>
            </li>
          ))}
        </ol>
      </Section>
    </>
  );
}

function versionLink(version: string): string {
  const [model = '', number = ''] = version.split('@');
  return to('models', model, number);
}

function wordsOf(action: string): { of: string; tone: 'good' | 'bad' | 'warn' | 'quiet' } {
  const words = {
    advance: ['went on', 'good'],
    complete: ['completed', 'good'],
    rollback: ['turned back', 'bad'],
    fail: ['failed', 'bad'],
    pause: ['paused', 'warn'],
    resume: ['resumed', 'quiet'],
  } as const;
  const [of, tone] = words[action as keyof typeof words] ?? ([action, 'quiet'] as const);
  return { of, tone };
}

const nowMs = 1_000;

function Stepper({ rollout }: { readonly rollout: Rollout }): JSX.Element {
  const { steps, stepIndex, status } = rollout;
  const now = useSignal(Date.now());
  const runs = isOpen(rollout);
  useEffect(() => {
    if (!runs) return undefined;
    const timer = setInterval(() => {
      now.value = Date.now();
    }, nowMs);
    return () => clearInterval(timer);
  }, [runs]);
  const stateOf = (i: number): 'done' | 'current' | 'back' | 'later' => {
    if (status === 'COMPLETED' || i < stepIndex) return 'done';
    if (i > stepIndex) return 'later';
    return runs ? 'current' : 'back';
  };
  const marks = { done: '✓', current: '◐', back: '▲', later: '○' };
  const words = { done: 'passed', current: 'now', back: 'turned back here', later: 'later' };
  return (
    <ol class="stepper" aria-label="Steps">
      {steps.map(({ weightPercent, shadow, minDurationMs, manual }, i) => {
        const state = stateOf(i);
        return (
          // Steps have their place and no other name.
          <li key={i} class={state} aria-current={state === 'current' ? 'step' : undefined}>
            <b>
              <span aria-hidden="true">{marks[state]} </span>
              {showNumber(weightPercent)} %
            </b>
            {shadow && <span class="faint">{weightPercent === 0 ? 'shadow' : 'and shadow'}</span>}
            <span>{words[state]}</span>
            <span class="faint">
              {state === 'current'
                ? holds(rollout, now.value)
                : minDurationMs === 0
                  ? 'at once'
                  : `at least ${showDuration(minDurationMs)}`}
              {manual === true && ', then by hand'}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function holds(rollout: Rollout, now: number): string {
  const { steps, stepIndex, stepBeganAt, status } = rollout;
  const { minDurationMs = 0, maxDurationMs } = steps[stepIndex] ?? {};
  if (status === 'PAUSED') return `paused; ${showDuration(now - stepBeganAt)} in the step`;
  const left = stepBeganAt + minDurationMs - now;
  if (left > 0) return `holds ${showDuration(left)} more`;
  const until = maxDurationMs === undefined ? undefined : stepBeganAt + maxDurationMs - now;
  return until === undefined || until < 0
    ? 'its time is served; its gates decide'
    : `its gates decide, for ${showDuration(until)} more`;
}

function RolloutActs({
  rollout,
  name,
}: {
  readonly rollout: Rollout;
  readonly name: string;
}): JSX.Element | null {
  const { id: rolloutId, status, steps, stepIndex, candidate, baseline } = rollout;
  if (!isOpen(rollout)) return null;
  const body = (reason: string): object => (reason === '' ? {} : { body: { reason } });
  const next = steps[stepIndex + 1]?.weightPercent;
  return (
    <>
      <Act
        name="Promote"
        does={['rollouts.promote', `deployment:${name}`]}
        tone="main"
        title={next === undefined ? 'Complete the rollout?' : `Go on to ${showNumber(next)} %?`}
        consequence={
          <p>
            {next === undefined
              ? `All requests go to ${candidate}, whatever the gates say.`
              : `${candidate} gets ${showNumber(next)} % of the requests at once, whatever the gates say. They go on turning it back.`}
          </p>
        }
        ask="Reason"
        run={(reason) =>
          api.rollouts.promote({
            rolloutId,
            body: { to: 'next', ...(reason === '' ? {} : { reason }) },
          })
        }
      />
      {next !== undefined && (
        <Act
          name="To the end"
          does={['rollouts.promote', `deployment:${name}`]}
          title="Give it everything?"
          consequence={
            <p>All requests go to {candidate} at once; the steps and gates between are left out.</p>
          }
          ask="Reason"
          isNeeded
          run={(reason) => api.rollouts.promote({ rolloutId, body: { to: 'end', reason } })}
        />
      )}
      {status === 'PAUSED' ? (
        <Act
          name="Resume"
          does={['rollouts.resume', `deployment:${name}`]}
          title="Resume the rollout?"
          consequence={<p>It serves the whole time of its step again, and goes on by its gates.</p>}
          ask="Reason"
          run={(reason) => api.rollouts.resume({ rolloutId, ...body(reason) })}
        />
      ) : (
        <Act
          name="Pause"
          does={['rollouts.pause', `deployment:${name}`]}
          title="Pause the rollout?"
          consequence={
            <p>It stays at its step until somebody resumes it; its gates go on turning it back.</p>
          }
          ask="Reason"
          run={(reason) => api.rollouts.pause({ rolloutId, ...body(reason) })}
        />
      )}
      <Act
        name="Abort"
        does={['rollouts.abort', `deployment:${name}`]}
        tone="danger"
        title="Abort the rollout?"
        consequence={
          <p>
            All requests go to {baseline} again at once. A promotion that it follows is taken back
            too. {candidate} can be rolled out again later.
          </p>
        }
        ask="Reason"
        run={(reason) => api.rollouts.abort({ rolloutId, ...body(reason) })}
      />
    </>
  );
}
