import type { GroupComparison, Run } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Scroll, Section, Shown } from '../../parts/basics.tsx';
import { showNumber, showValue } from '../../parts/format.ts';
import { setView, view } from '../../routing/address.ts';
import { columnsOf } from '../runs/columns.ts';

/** Whether groups of these runs differ by more than chance: means, intervals, tests with Holm's correction. */
export function GroupTests({
  runs,
  metrics,
}: {
  readonly runs: readonly Run[];
  readonly metrics: readonly string[];
}): JSX.Element {
  const groupings = columnsOf(runs)
    .filter(({ field }) => field.startsWith('params.') || field.startsWith('tags.'))
    .map((column) => ({
      field: column.field,
      groups: [...Map.groupBy(runs, (run) => showValue(column.of(run)))].filter(
        ([, of]) => of.length > 1,
      ),
    }))
    .filter(({ groups }) => groups.length > 1 && groups.length <= 20);
  const by = groupings.find(({ field }) => field === view('by')) ?? groupings[0];
  return (
    <Section
      title="Is it more than chance?"
      actions={
        by !== undefined && (
          <label>
            Groups by{' '}
            <select
              value={by.field}
              onChange={({ currentTarget }) => setView({ by: currentTarget.value })}
            >
              {groupings.map(({ field }) => (
                <option key={field} value={field}>
                  {field}
                </option>
              ))}
            </select>
          </label>
        )
      }
    >
      {by === undefined || metrics.length === 0 ? (
        <p class="faint">
          It takes groups: at least two runs with one value of a param or tag and two with another,
          such as the same training with other seeds.
        </p>
      ) : (
        <Tests groups={by.groups} metrics={metrics.slice(0, 20)} />
      )}
    </Section>
  );
}

function Tests({
  groups,
  metrics,
}: {
  readonly groups: readonly (readonly [string, readonly Run[]])[];
  readonly metrics: readonly string[];
}): JSX.Element {
  const asked = Object.fromEntries(groups.map(([name, runs]) => [name, runs.map(({ id }) => id)]));
  const compared = useResource<GroupComparison>(JSON.stringify([asked, metrics]), (signal) =>
    api.compare.groups({ body: { groups: asked, metrics: [...metrics] } }, { signal }),
  );
  return (
    <Shown of={compared}>
      {({ metrics: all, alpha, comparisons }) => (
        <>
          <Scroll>
            <table>
              <thead>
                <tr>
                  <th>Metric</th>
                  <th>Groups</th>
                  <th class="number">Means</th>
                  <th class="number">Difference</th>
                  <th class="number">{showNumber((1 - alpha) * 100)} % interval</th>
                  <th class="number">Welch, p after Holm</th>
                  <th class="number">Mann–Whitney, p</th>
                  <th class="number">Hedges’ g</th>
                  <th>Better</th>
                </tr>
              </thead>
              <tbody>
                {all.flatMap(({ name, pairs, groups: summaries }) =>
                  pairs.map((pair) => {
                    const meanOf = (group: string): number | undefined =>
                      summaries.find((each) => each.group === group)?.mean;
                    return (
                      <tr key={`${name} ${pair.first} ${pair.second}`}>
                        <td>{name}</td>
                        <td>
                          {pair.first} · {pair.second}
                        </td>
                        <td class="number">
                          {showNumber(meanOf(pair.first))} · {showNumber(meanOf(pair.second))}
                        </td>
                        <td class="number">{showNumber(pair.difference)}</td>
                        <td class="number">
                          {showNumber(pair.interval.low)} … {showNumber(pair.interval.high)}
                        </td>
                        <td class="number">{showNumber(pair.welch.adjustedPValue)}</td>
                        <td class="number">{showNumber(pair.mannWhitney.adjustedPValue)}</td>
                        <td class="number">{showNumber(pair.hedgesG)}</td>
                        <td>{pair.better ?? 'not shown'}</td>
                      </tr>
                    );
                  }),
                )}
              </tbody>
            </table>
          </Scroll>
          <p class="faint">
            {comparisons} comparisons; the chance that any is called different without being so is
            at most {showNumber(alpha * 100)} %.
          </p>
        </>
      )}
    </Shown>
  );
}
