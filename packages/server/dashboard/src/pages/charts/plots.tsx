import type { Run } from '@keelson/core';
import type { JSX } from 'preact';
import { Scroll } from '../../parts/basics.tsx';
import { colorAt, showNumber } from '../../parts/format.ts';
import { go, to } from '../../routing/address.ts';
import { type Axis, deviation, importances, mean } from './figures.ts';
import { colorScale, placeOf, rangeOfAxis, tickText, viridis } from './scales.ts';

const [width, height, left, bottom] = [460, 300, 64, 34];
const inner = { w: width - left - 12, h: height - bottom - 12 };
const xAt = (share: number): number => left + share * inner.w;
const yAt = (share: number): number => 12 + (1 - share) * inner.h;

/** One figure of each run against another. */
export function Scatter({
  runs,
  x,
  y,
  color,
}: {
  readonly runs: readonly Run[];
  readonly x: Axis;
  readonly y: Axis;
  readonly color: Axis;
}): JSX.Element {
  const paint = colorScale(color);
  return (
    <figure class="chart">
      <figcaption>
        {y.title} against {x.title} <span class="legend">coloured by {color.title}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${y.title} against ${x.title} of ${runs.length} runs; the table of runs holds them.`}
      >
        <Frame x={x} y={y} />
        {runs.map((run, n) => {
          const [a, b] = [x.values[n], y.values[n]];
          if (a === undefined || b === undefined) return null;
          return (
            <circle
              key={run.id}
              cx={xAt(placeOf(x, a))}
              cy={yAt(placeOf(y, b))}
              r="4"
              fill={paint(color.values[n])}
              class="hit"
              onClick={() => go(to('run', run.id))}
            >
              <title>{`${run.name}: ${showNumber(a)}, ${showNumber(b)}`}</title>
            </circle>
          );
        })}
      </svg>
    </figure>
  );
}

const cells = 24;

/** A figure over two others: each cell the mean of the runs around it, by inverse squared distance. */
export function Contour({
  runs,
  x,
  y,
  of,
}: {
  readonly runs: readonly Run[];
  readonly x: Axis;
  readonly y: Axis;
  readonly of: Axis;
}): JSX.Element {
  const points = runs.flatMap((_, n) => {
    const [a, b, c] = [x.values[n], y.values[n], of.values[n]];
    return a === undefined || b === undefined || c === undefined
      ? []
      : [{ x: placeOf(x, a), y: placeOf(y, b), share: placeOf(of, c) }];
  });
  const grid = Array.from({ length: cells * cells }, (_, i) => {
    const [cx, cy] = [((i % cells) + 0.5) / cells, (Math.floor(i / cells) + 0.5) / cells];
    let [sum, weight] = [0, 0];
    for (const each of points) {
      const w = 1 / ((each.x - cx) ** 2 + (each.y - cy) ** 2 + 1e-4);
      sum += w * each.share;
      weight += w;
    }
    return { cx, cy, share: weight === 0 ? 0 : sum / weight };
  });
  const [low, high] = rangeOfAxis(of);
  return (
    <figure class="chart">
      <figcaption>
        {of.title} over {x.title} and {y.title}{' '}
        <span class="legend">
          <i style={{ background: viridis(0) }} />
          {showNumber(low)} <i style={{ background: viridis(1) }} />
          {showNumber(high)}; between the runs it is guessed from those near by
        </span>
      </figcaption>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${of.title} over ${x.title} and ${y.title}, interpolated from ${points.length} runs; the table of runs holds them.`}
      >
        {grid.map(({ cx, cy, share }) => (
          <rect
            key={`${cx} ${cy}`}
            x={xAt(cx - 0.5 / cells)}
            y={yAt(cy + 0.5 / cells)}
            width={inner.w / cells + 0.5}
            height={inner.h / cells + 0.5}
            fill={viridis(share)}
          />
        ))}
        <Frame x={x} y={y} />
        {points.map((each, i) => (
          <circle
            key={i}
            cx={xAt(each.x)}
            cy={yAt(each.y)}
            r="3.5"
            fill={viridis(each.share)}
            stroke="#fff"
          />
        ))}
      </svg>
    </figure>
  );
}

function Frame({ x, y }: { readonly x: Axis; readonly y: Axis }): JSX.Element {
  return (
    <g>
      <line
        x1={left}
        x2={width - 12}
        y1={height - bottom + 4}
        y2={height - bottom + 4}
        class="axis"
      />
      <line x1={left - 4} x2={left - 4} y1="12" y2={height - bottom} class="axis" />
      {tickText(x).map(([value, text]) => (
        <text
          key={text}
          x={xAt(placeOf(x, value))}
          y={height - bottom + 18}
          text-anchor="middle"
          class="tick"
        >
          {text}
        </text>
      ))}
      {tickText(y).map(([value, text]) => (
        <text key={text} x={left - 8} y={yAt(placeOf(y, value)) + 4} text-anchor="end" class="tick">
          {text}
        </text>
      ))}
      <text x={left + inner.w / 2} y={height - 2} text-anchor="middle" class="axis-title">
        {x.title}
      </text>
    </g>
  );
}

/** Means by group, with one standard deviation. */
export function Groups({ by, of }: { readonly by: Axis; readonly of: Axis }): JSX.Element {
  const groups = [
    ...Map.groupBy(
      by.values.flatMap((group, n) =>
        group === undefined || of.values[n] === undefined ? [] : [{ group, value: of.values[n] }],
      ),
      ({ group }) => group,
    ),
  ]
    .sort(([a], [b]) => a - b)
    .map(([group, members]) => {
      const values = members.map(({ value }) => value);
      return {
        name: by.words?.[group] ?? showNumber(group),
        mean: mean(values),
        deviation: deviation(values),
        count: values.length,
      };
    });
  const most = Math.max(
    ...groups.map((each) => Math.abs(each.mean) + each.deviation),
    Number.MIN_VALUE,
  );
  return (
    <figure class="chart">
      <figcaption>
        {of.title} by {by.title} <span class="legend">mean ± one standard deviation</span>
      </figcaption>
      <Scroll>
        <table class="bars">
          <tbody>
            {groups.map((each, i) => (
              <tr key={each.name}>
                <th scope="row">{each.name}</th>
                <td class="bar">
                  <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                    <rect
                      width={(Math.abs(each.mean) / most) * 100}
                      height="10"
                      fill={colorAt(i)}
                    />
                    <line
                      x1={((Math.abs(each.mean) - each.deviation) / most) * 100}
                      x2={((Math.abs(each.mean) + each.deviation) / most) * 100}
                      y1="5"
                      y2="5"
                      class="whisker"
                    />
                  </svg>
                </td>
                <td class="number">
                  {showNumber(each.mean)} ± {showNumber(each.deviation)}
                </td>
                <td class="number faint">{each.count} runs</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </figure>
  );
}

/** Which params explain a metric. */
export function Importances({
  target,
  axes,
}: {
  readonly target: Axis;
  readonly axes: readonly Axis[];
}): JSX.Element {
  const all = importances(target, axes);
  return (
    <figure class="chart">
      <figcaption>
        What {target.title} goes with{' '}
        <span class="legend">
          share of its ranks that each param explains alone (ρ², η²); params that vary together
          share it
        </span>
      </figcaption>
      {all.length === 0 ? (
        <p class="faint">It takes three runs that differ in a param.</p>
      ) : (
        <Scroll>
          <table class="bars">
            <tbody>
              {all.map(({ axis, share, direction, runs }) => (
                <tr key={axis.field}>
                  <th scope="row">{axis.title}</th>
                  <td class="bar">
                    <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                      <rect
                        width={share * 100}
                        height="10"
                        fill={
                          direction === undefined
                            ? colorAt(4)
                            : direction > 0
                              ? colorAt(0)
                              : colorAt(1)
                        }
                      />
                    </svg>
                  </td>
                  <td class="number">{showNumber(Math.round(share * 1000) / 10)} %</td>
                  <td>
                    {direction === undefined
                      ? 'by its words'
                      : direction > 0
                        ? '↑ rises with it'
                        : '↓ falls with it'}
                  </td>
                  <td class="number faint">{runs} runs</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </figure>
  );
}
