import type { GateVerdict, Rollout } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { Facts, Status } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';
import { showNumber, showShare } from '../../parts/format.ts';
import { type ArmShare, type Evidence, figuresOf, type Window } from './verdict-figures.ts';
import { colorOfVersion, shortName } from './weights.tsx';

const outcomes = {
  PASS: ['lets it go on', 'good'],
  FAIL: ['turns it back', 'bad'],
  INCONCLUSIVE: ['cannot tell yet', 'warn'],
} as const;

/** What a gate says, drawn from the evidence that is stored with it. */
export function Verdict({
  of,
  rollout,
}: {
  readonly of: GateVerdict;
  readonly rollout: Rollout;
}): JSX.Element {
  const figures = figuresOf(of, rollout);
  const [word, tone] = outcomes[of.outcome];
  const { arms, limit, evidence, classes, windows, facts, about } = figures;
  const isSeen = useSignal(false);
  return (
    <article class="verdict">
      <header>
        <h3>{of.gate.gate}</h3>
        <Status of={word} tone={tone} />
      </header>
      {of.problem !== undefined && <p class="bad">{of.problem}</p>}
      {arms.length > 0 && <Shares arms={arms} limit={limit} about={about} />}
      {classes.length > 0 && <Classes of={classes} rollout={rollout} />}
      {evidence.map((each) => (
        <Bound key={each.claim} of={each} />
      ))}
      <Facts of={facts} />
      {windows.length > 1 && (
        <details
          onToggle={({ currentTarget }) => {
            isSeen.value = currentTarget.open;
          }}
        >
          <summary>Window by window</summary>
          {isSeen.value && <SoFar windows={windows} about={about} rollout={rollout} />}
        </details>
      )}
    </article>
  );
}

const width = 320;
const left = 92;
const right = 44;
const rowHeight = 22;

/** The share of each version with its interval, on one axis. */
function Shares({
  arms,
  limit,
  about,
}: {
  readonly arms: readonly ArmShare[];
  readonly limit: number | undefined;
  readonly about: string;
}): JSX.Element {
  const most = Math.min(
    1,
    1.1 * Math.max(1e-6, limit ?? 0, ...arms.map(({ share, high = 0 }) => Math.max(share, high))),
  );
  const x = (share: number): number => left + (share / most) * (width - left - right);
  const height = arms.length * rowHeight + 4;
  return (
    <figure class="shares">
      <figcaption>Share of {about}</figcaption>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={arms
          .map(
            ({ name, share, low, high, of }) =>
              `${name}: ${showShare(share)}${low === undefined ? '' : `, between ${showShare(low)} and ${showShare(high)}`}${of === undefined ? '' : `, of ${showNumber(of)}`}`,
          )
          .join('; ')}
      >
        {limit !== undefined && (
          <line class="limit" x1={x(limit)} x2={x(limit)} y1="0" y2={height} />
        )}
        {arms.map(({ name, share, low, high, of }, i) => {
          const y = i * rowHeight + rowHeight / 2 + 2;
          return (
            <g key={name}>
              <text x="0" y={y + 4}>
                {shortName(name)}
                {of !== undefined && <tspan class="count">{` of ${showNumber(of)}`}</tspan>}
              </text>
              {low !== undefined && high !== undefined && (
                <rect
                  x={x(low)}
                  y={y - 4}
                  width={Math.max(1, x(Math.min(most, high)) - x(low))}
                  height="8"
                  rx="2"
                  fill={colorOfVersion(name)}
                  opacity="0.35"
                />
              )}
              <circle cx={x(share)} cy={y} r="4.5" fill={colorOfVersion(name)} />
              <text x={width} y={y + 4} text-anchor="end">
                {showShare(Number(share.toPrecision(3)))}
              </text>
            </g>
          );
        })}
      </svg>
      {limit !== undefined && <p class="faint">The line is at {showShare(limit)}.</p>}
    </figure>
  );
}

/** How much the evidence says, and from which bound on it decides: valid at every look. */
function Bound({ of: { claim, logE, alpha, turnsBack } }: { readonly of: Evidence }): JSX.Element {
  const threshold = -Math.log(alpha);
  const most = threshold * 1.5;
  const share = Math.max(0, Math.min(1, logE / most));
  const isShown = logE >= threshold;
  const e =
    logE > 20
      ? `e^${showNumber(Math.round(logE))}`
      : showNumber(Number(Math.exp(logE).toPrecision(3)));
  const tone = isShown ? (turnsBack ? 'bad' : 'good') : 'quiet';
  return (
    <div class="bound">
      <p>
        Evidence that {claim}: <b>{e}</b>
        <span class="faint">, bound {showNumber(Number((1 / alpha).toPrecision(3)))} </span>
        <Status of={isShown ? 'shown' : 'not shown'} tone={tone} />
      </p>
      <svg viewBox="0 0 300 12" preserveAspectRatio="none" aria-hidden="true">
        <rect class="ground" x="0" y="2" width="300" height="8" rx="2" />
        <rect class={`value ${tone}`} x="0" y="2" width={share * 300} height="8" rx="2" />
        <line class="limit" x1="200" x2="200" y1="0" y2="12" />
      </svg>
    </div>
  );
}

function Classes({
  of,
  rollout,
}: {
  readonly of: readonly (readonly [string, number, number])[];
  readonly rollout: Rollout;
}): JSX.Element {
  const most = Math.max(...of.flatMap(([, a, b]) => [a, b]));
  const bar = (share: number, name: string): JSX.Element => (
    <div class="class-bar" title={`${name}: ${showShare(share)}`}>
      <i style={{ width: `${(share / most) * 70}%`, background: colorOfVersion(name) }} />
      <span>{showShare(Number(share.toPrecision(3)))}</span>
    </div>
  );
  return (
    <table class="classes">
      <caption class="faint">
        Answers by class: {shortName(rollout.candidate)} above, {shortName(rollout.baseline)} below
      </caption>
      <tbody>
        {of.map(([name, candidate, baseline]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              {bar(candidate, rollout.candidate)}
              {bar(baseline, rollout.baseline)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Both shares as they were counted, window after window. */
function SoFar({
  windows,
  about,
  rollout,
}: {
  readonly windows: readonly Window[];
  readonly about: string;
  readonly rollout: Rollout;
}): JSX.Element {
  const sums = { canary: [0, 0], baseline: [0, 0] };
  const lines = { canary: [] as (number | null)[], baseline: [] as (number | null)[] };
  for (const window of windows) {
    for (const arm of ['canary', 'baseline'] as const) {
      const [requests = 0, bad = 0] = sums[arm];
      const next = [requests + window[`${arm}Requests`], bad + window[`${arm}Bad`]];
      sums[arm] = next;
      lines[arm].push(next[0] === 0 ? null : (next[1] as number) / (next[0] as number));
    }
  }
  return (
    <Chart
      title={`Share of ${about}, so far`}
      height={150}
      x={windows.map((_, i) => i + 1)}
      lines={[
        {
          label: shortName(rollout.candidate),
          color: colorOfVersion(rollout.candidate),
          values: lines.canary,
        },
        {
          label: shortName(rollout.baseline),
          color: colorOfVersion(rollout.baseline),
          values: lines.baseline,
        },
      ]}
    />
  );
}
