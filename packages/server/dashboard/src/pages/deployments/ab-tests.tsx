import type { AbTest, AbTestReport, MetricReport } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Empty, Facts, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showNumber, showShare } from '../../parts/format.ts';
import { liveOf } from './deployment-state.ts';
import { colorOfVersion } from './weights.tsx';

const begin = (name: string): string => `await platform.deployments.startAbTest({
  deployment: '${name}', stickyHeader: 'x-user',
  arms: [{ name: 'A', versionId, weightPercent: 50 }, { name: 'B', versionId: next, weightPercent: 50 }],
  metrics: [{ name: 'accuracy', outcome: { source: 'accuracy' }, goal: 'higher' }],
  reason: 'does the new one do better?',
});`;

const decisions = {
  WINNER: ['there is a winner', 'good'],
  CONTROL: ['the control stays', 'quiet'],
  INCONCLUSIVE: ['cannot tell yet', 'warn'],
  SAMPLE_RATIO_MISMATCH: ['users are dealt out wrongly', 'bad'],
} as const;

/** The A/B tests of a deployment, newest first. */
export function AbTests({ name }: { readonly name: string }): JSX.Element {
  const tests = useResource(
    `ab tests ${name}`,
    (signal) => api.abTests.list({ deployment: name }, { signal }),
    liveOf(name, ['abtest.']),
  );
  return (
    <Shown of={tests}>
      {({ abTests: all }) =>
        all.length === 0 ? (
          <Empty title="No A/B test yet" code={begin(name)}>
            <p>A test deals users out among versions, and finds out which is best:</p>
          </Empty>
        ) : (
          <>
            {all.toReversed().map((test) => (
              <OneTest key={test.id} test={test} />
            ))}
          </>
        )
      }
    </Shown>
  );
}

function OneTest({ test }: { readonly test: AbTest }): JSX.Element {
  const { id: testId, status, arms, control, reason, beganAt, endedAt, decision } = test;
  const report = useResource(
    `ab report ${testId} ${status}`,
    (signal) => api.abTests.report({ testId }, { signal }),
    { on: ['abtest.', 'monitoring.', 'label.'] },
  );
  const isRunning = status === 'RUNNING';
  return (
    <Section
      title={
        <>
          {reason} <Status of={status} tone={isRunning ? 'busy' : 'quiet'} />
        </>
      }
      actions={
        isRunning && (
          <>
            <button type="button" onClick={report.reload}>
              Look again
            </button>
            <Decide test={test} report={report.data} />
            <Act
              name="Stop"
              tone="danger"
              title="Break the test off?"
              does={['abTests.stop', `deployment:${test.deployment}`]}
              consequence={
                <p>
                  {control} gets all requests again. Users are never dealt out this way a second
                  time: another test draws anew.
                </p>
              }
              ask="Reason"
              isNeeded
              run={(why) => api.abTests.stop({ testId, body: { reason: why } })}
            />
          </>
        )
      }
    >
      <Facts
        of={[
          ['Began', <Ago key="began" at={beganAt} />],
          endedAt !== undefined && ['Ended', <Ago key="ended" at={endedAt} />],
          ['Users by', <code key="by">{test.stickyHeader}</code>],
          ['Level', showShare(test.alpha)],
          decision !== undefined && [
            'Decided',
            `${decision.winner ?? 'nothing'} by ${decision.by}: ${decision.reason}`,
          ],
        ]}
      />
      <Shown of={report}>{(data) => <Report of={data} test={test} />}</Shown>
      <Scroll>
        <table>
          <thead>
            <tr>
              <th>Arm</th>
              <th>Version</th>
              <th class="number">Weight</th>
              <th class="number">Users</th>
              <th class="number">Share of users</th>
            </tr>
          </thead>
          <tbody>
            {arms.map(({ name, version, weightPercent }) => (
              <tr key={name}>
                <td>
                  <i
                    class="swatch"
                    style={{ background: colorOfVersion(version) }}
                    aria-hidden="true"
                  />
                  {name}
                  {name === control && <span class="faint"> control</span>}
                </td>
                <td>{version}</td>
                <td class="number">{showNumber(weightPercent)} %</td>
                <td class="number">{showNumber(report.data?.exposures[name])}</td>
                <td class="number">
                  {showShare(report.data?.sampleRatio[name]?.share ?? undefined)}{' '}
                  {report.data?.sampleRatio[name]?.mismatch === true && (
                    <Status of="mismatch" tone="bad" />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function Decide({
  test,
  report,
}: {
  readonly test: AbTest;
  readonly report: AbTestReport | undefined;
}): JSX.Element {
  const chosen = useSignal<string | undefined>(undefined);
  const winner = chosen.value ?? report?.winner ?? test.control;
  return (
    <Act
      name="Decide"
      tone="main"
      title="End the test?"
      does={['abTests.decide', `deployment:${test.deployment}`]}
      consequence={
        <p>
          {winner} gets all requests.
          {report !== undefined && report.winner !== winner && ' The report does not say so: '}
          {report !== undefined && report.winner !== winner && report.reason}
        </p>
      }
      ask="Reason"
      isNeeded
      run={(reason) => api.abTests.decide({ testId: test.id, body: { winner, reason } })}
    >
      <label>
        Winner
        <select
          value={winner}
          onChange={({ currentTarget }) => {
            chosen.value = currentTarget.value;
          }}
        >
          {test.arms.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
    </Act>
  );
}

function Report({ of, test }: { readonly of: AbTestReport; readonly test: AbTest }): JSX.Element {
  const [word, tone] = decisions[of.decision];
  return (
    <>
      <p class="said">
        <Status of={word} tone={tone} /> {of.reason}
      </p>
      <div class="verdicts">
        {of.metrics.map((metric, i) => (
          <Metric key={metric.metric} of={metric} test={test} note={i === 0 ? 'decides' : ''} />
        ))}
        {of.guardrails.map((metric) => (
          <Metric
            key={metric.metric}
            of={metric}
            test={test}
            note={
              metric.broken.length === 0
                ? 'guardrail, holds'
                : `guardrail, broken by ${metric.broken.join(', ')}`
            }
          />
        ))}
      </div>
    </>
  );
}

const width = 320;

/** The arms by one metric: difference to the control with its interval, which holds at every look. */
function Metric({
  of: { metric, goal, arms },
  test,
  note,
}: {
  readonly of: MetricReport;
  readonly test: AbTest;
  readonly note: string;
}): JSX.Element {
  const ends = arms.flatMap(({ interval }) =>
    interval === undefined ? [] : [Math.abs(interval.low), Math.abs(interval.high)],
  );
  const most = Math.max(1e-9, ...ends) * 1.1;
  const x = (value: number): number => width / 2 + (value / most) * (width / 2);
  return (
    <article class="verdict">
      <header>
        <h3>
          {metric} <span class="faint">{goal} is better</span>
        </h3>
        <span class="faint">{note}</span>
      </header>
      {arms.map(({ arm, units, mean, difference, interval, pValue }) => {
        const color = colorOfVersion(test.arms.find(({ name }) => name === arm)?.version ?? arm);
        return (
          <div key={arm}>
            <p>
              <i class="swatch" style={{ background: color }} aria-hidden="true" />
              {arm}: <b>{showNumber(mean)}</b> <span class="faint">of {showNumber(units)}</span>
              {difference !== undefined && difference !== null && interval !== undefined && (
                <>
                  , {difference > 0 ? '+' : ''}
                  {showNumber(difference)} ({showNumber(interval.low)} … {showNumber(interval.high)}
                  ), p = {showNumber(pValue)}
                </>
              )}
            </p>
            {interval !== undefined && (
              <svg viewBox={`0 0 ${width} 18`} class="difference" aria-hidden="true">
                <line class="limit" x1={width / 2} x2={width / 2} y1="0" y2="18" />
                <rect
                  x={x(interval.low)}
                  y="5"
                  width={Math.max(1, x(interval.high) - x(interval.low))}
                  height="8"
                  rx="2"
                  fill={color}
                  opacity="0.4"
                />
                <circle cx={x(difference ?? 0)} cy="9" r="4.5" fill={color} />
              </svg>
            )}
          </div>
        );
      })}
    </article>
  );
}
