import type { Run } from '@keelson/core';
import { useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Heading, Problem, Status } from '../../parts/basics.tsx';
import { download } from '../../parts/download.ts';
import { colorOf, showNumber } from '../../parts/format.ts';
import { useVirtualRows } from '../../parts/virtual-rows.ts';
import { asList, go, setView, to, view, viewList } from '../../routing/address.ts';
import { ColumnChoice } from './column-choice.tsx';
import { type Column, cellText, columnsOf, csvOf, differing } from './columns.ts';
import { FilterBox } from './filter-box.tsx';
import { type RunList, useRunList } from './run-list.ts';
import './runs.css';

const rowHeight = 30;
/** What is shown unasked: beyond this a table is no longer read but searched. */
const unaskedColumns = 14;

const firstRun = `import { openPlatform } from '@keelson/core';

await using platform = await openPlatform();
const run = await platform.tracking.startRun({ experiment: 'first', params: { depth: 6 } });
for (let step = 0; step < 100; step += 1) run.logMetric('loss', 1 / (step + 1), { step });
await run.complete();`;

/** All runs, or those of some experiments: filter, order, group, choose. */
export function Runs(): JSX.Element {
  const experiment = viewList('experiment');
  const filter = view('filter');
  const order = viewList('order');
  const group = view('group');
  const orderBy = [...(group === '' ? [] : [`${group} ASC`]), ...order];
  const list = useRunList({ experiment, filter, orderBy });
  const experiments = useResource(
    'experiments',
    (signal) => api.experiments.list({ limit: 500 }, { signal }),
    {
      on: ['experiment.'],
    },
  );
  const all = useMemo(() => columnsOf(list.runs), [list.runs]);
  const columns = useColumns(all, list.runs);
  const chosen = viewList('chosen');
  const isNothing =
    list.isWhole && list.runs.length === 0 && filter === '' && list.error === undefined;

  return (
    <div class="runs">
      <Heading
        title="Runs"
        beside={<Total list={list} />}
        actions={
          <>
            <button
              type="button"
              class="main"
              disabled={chosen.length < 2}
              title={chosen.length < 2 ? 'Choose two runs or more' : ''}
              onClick={() => go(to('compare', { runs: asList(chosen) }))}
            >
              Compare{chosen.length > 1 ? ` ${chosen.length}` : ''}
            </button>
            <button
              type="button"
              disabled={chosen.length === 0}
              title={chosen.length === 0 ? 'Choose a run or more' : ''}
              onClick={() => go(to('charts', { runs: asList(chosen) }))}
            >
              Charts
            </button>
            {chosen.length > 0 && (
              <button type="button" class="plain" onClick={() => setView({ chosen: undefined })}>
                Choose none
              </button>
            )}
          </>
        }
      />
      <div class="tools">
        <label class="experiment">
          <span class="hidden">Experiment</span>
          <select
            value={experiment[0] ?? ''}
            onChange={({ currentTarget }) =>
              setView({ experiment: currentTarget.value, chosen: undefined })
            }
          >
            <option value="">All experiments</option>
            {(experiments.data?.experiments ?? []).map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <FilterBox
          value={filter}
          fields={all.map(({ field }) => field)}
          error={list.error}
          apply={(text) => setView({ filter: text })}
        />
        <label>
          <span class="hidden">Group by</span>
          <select
            value={group}
            onChange={({ currentTarget }) => setView({ group: currentTarget.value })}
          >
            <option value="">No groups</option>
            {all
              .filter(({ isNumber, field }) => !isNumber || field.startsWith('params.'))
              .filter(({ field }) => field !== 'attributes.start_time')
              .map(({ field, title }) => (
                <option key={field} value={field}>
                  By {title}
                </option>
              ))}
          </select>
        </label>
        <ColumnChoice all={all} shown={columns} />
        <button
          type="button"
          disabled={list.runs.length === 0}
          title="The rows that were read, with the columns that are shown"
          onClick={() => download('runs.csv', csvOf(columns, list.runs), 'text/csv')}
        >
          CSV
        </button>
      </div>
      {list.error !== undefined &&
        list.error.code !== 'SYNTAX' &&
        list.error.code !== 'INVALID' && <Problem error={list.error} retry={list.more} />}
      {isNothing ? (
        <Empty title="No runs yet" code={firstRun}>
          <p>
            A run is what one training did: its params, metrics and files. This makes the first:
          </p>
        </Empty>
      ) : (
        <RunTable
          list={list}
          columns={columns}
          order={order}
          group={group}
          all={all}
          chosen={chosen}
        />
      )}
    </div>
  );
}

function Total({ list }: { readonly list: RunList }): JSX.Element {
  const { total, isReading } = list;
  return (
    <span class="faint" role="status">
      {total === undefined ? '' : `${total.exact ? '' : 'about '}${showNumber(total.count)}`}
      {isReading ? ' · reading …' : ''}
    </span>
  );
}

/** The columns of the address, or those that say something. */
function useColumns(all: readonly Column[], runs: readonly Run[]): readonly Column[] {
  const asked = viewList('columns');
  const same = view('same');
  const pinned = viewList('pin');
  return useMemo(() => {
    const some =
      asked.length > 0
        ? asked.flatMap((field) => all.find((column) => column.field === field) ?? [])
        : same === 'show'
          ? all.slice(0, 60)
          : keepFixed(all, runs).slice(0, unaskedColumns);
    const isPinned = (column: Column): boolean => pinned.includes(column.field);
    return [...some.filter(isPinned), ...some.filter((column) => !isPinned(column))];
  }, [all, runs, asked.join('~'), same, pinned.join('~')]);
}

function keepFixed(all: readonly Column[], runs: readonly Run[]): readonly Column[] {
  const fixed = all.filter(({ field }) => field.startsWith('attributes.'));
  return [
    ...fixed,
    ...differing(
      all.filter((column) => !fixed.includes(column)),
      runs,
    ),
  ];
}

interface TableProps {
  readonly list: RunList;
  readonly columns: readonly Column[];
  readonly all: readonly Column[];
  readonly order: readonly string[];
  readonly group: string;
  readonly chosen: readonly string[];
}

type Row = { readonly run: Run } | { readonly title: string; readonly runs: readonly Run[] };

function RunTable({ list, columns, all, order, group, chosen }: TableProps): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const by = all.find(({ field }) => field === group);
  const folded = viewList('folded');
  const rows = useMemo(() => rowsOf(list.runs, by, folded), [list.runs, by, folded.join('~')]);
  const { items, height } = useVirtualRows(scroller, rows.length, rowHeight);
  const last = items.at(-1);
  if (last !== undefined && last.index > rows.length - 60 && !list.isWhole)
    queueMicrotask(list.more);
  const above = items[0]?.start ?? 0;
  const below = height - (last?.end ?? 0);
  const span = columns.length + 2;
  const set = useComputed(() => new Set(viewList('chosen')));

  const toggle = (id: string): void => {
    const next = set.value.has(id) ? chosen.filter((each) => each !== id) : [...chosen, id];
    setView({ chosen: asList(next) }, 'replace');
  };

  return (
    <div
      class={list.isStale ? 'table stale' : 'table'}
      ref={scroller}
      tabIndex={0}
      role="region"
      aria-label="Table of runs"
    >
      <table aria-rowcount={list.isWhole ? rows.length + 1 : -1}>
        <thead>
          <tr>
            <th class="choose" aria-label="Chosen" />
            <th class="name" aria-sort={sortOf(order, 'attributes.run_name')}>
              <Order field="attributes.run_name" title="Run" order={order} />
            </th>
            {columns.map((column) => (
              <th
                key={column.field}
                class={column.isNumber ? 'number' : undefined}
                title={column.field}
                aria-sort={sortOf(order, column.field)}
              >
                {kindOf(column)}
                <Order field={column.field} title={column.title} order={order} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {above > 0 && <tr class="space" style={{ height: `${above}px` }} />}
          {items.map(({ index }) => {
            const row = rows[index];
            if (row === undefined) return null;
            if ('title' in row)
              return (
                <GroupRow key={`group ${row.title}`} row={row} columns={columns} folded={folded} />
              );
            return (
              <RunRow
                key={row.run.id}
                run={row.run}
                columns={columns}
                isChosen={set.value.has(row.run.id)}
                toggle={toggle}
                index={index}
              />
            );
          })}
          {below > 0 && <tr class="space" style={{ height: `${below}px` }} />}
          {list.isWhole && list.runs.length === 0 && (
            <tr>
              <td colSpan={span} class="faint">
                No run is like that.{' '}
                <button
                  type="button"
                  class="plain"
                  onClick={() => setView({ filter: undefined, experiment: undefined })}
                >
                  Show all
                </button>
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function RunRow({
  run,
  columns,
  isChosen,
  toggle,
  index,
}: {
  readonly run: Run;
  readonly columns: readonly Column[];
  readonly isChosen: boolean;
  readonly toggle: (id: string) => void;
  readonly index: number;
}): JSX.Element {
  return (
    <tr class={isChosen ? 'chosen' : undefined} aria-rowindex={index + 2} aria-selected={isChosen}>
      <td class="choose">
        <input
          type="checkbox"
          checked={isChosen}
          aria-label={`Choose ${run.name}`}
          onChange={() => toggle(run.id)}
        />
      </td>
      <td class="name">
        <span class="dot" style={{ background: colorOf(run.id) }} aria-hidden="true" />
        <a href={to('run', run.id)}>{run.name}</a>
      </td>
      {columns.map((column) => (
        <td key={column.field} class={column.isNumber ? 'number' : undefined}>
          <Cell column={column} run={run} />
        </td>
      ))}
    </tr>
  );
}

function Cell({ column, run }: { readonly column: Column; readonly run: Run }): JSX.Element {
  if (column.field === 'attributes.status') return <Status of={run.status} />;
  if (column.field === 'attributes.start_time') return <Ago at={run.startedAt} />;
  const text = cellText(column, run);
  return <span title={text.length > 24 ? text : undefined}>{text}</span>;
}

function GroupRow({
  row,
  columns,
  folded,
}: {
  readonly row: { readonly title: string; readonly runs: readonly Run[] };
  readonly columns: readonly Column[];
  readonly folded: readonly string[];
}): JSX.Element {
  const isFolded = folded.includes(row.title);
  const flip = (): void => {
    const next = isFolded ? folded.filter((each) => each !== row.title) : [...folded, row.title];
    setView({ folded: asList(next) }, 'replace');
  };
  return (
    <tr class="group">
      <td class="choose">
        <button
          type="button"
          class="plain"
          aria-expanded={!isFolded}
          aria-label={`${isFolded ? 'Unfold' : 'Fold'} ${row.title}`}
          onClick={flip}
        >
          {isFolded ? '▸' : '▾'}
        </button>
      </td>
      <td class="name">
        <b>{row.title}</b> <span class="faint">{row.runs.length}</span>
      </td>
      {columns.map((column) => (
        <td key={column.field} class={column.isNumber ? 'number' : undefined}>
          {column.isNumber && <Mean column={column} runs={row.runs} />}
        </td>
      ))}
    </tr>
  );
}

function Mean({
  column,
  runs,
}: {
  readonly column: Column;
  readonly runs: readonly Run[];
}): JSX.Element {
  const values = runs
    .map((run) => column.of(run))
    .filter((each): each is number => Number.isFinite(each));
  if (values.length === 0) return <span class="faint">–</span>;
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  return (
    <span class="faint" title={`Mean of ${values.length}`}>
      x̄ {showNumber(mean)}
    </span>
  );
}

function Order({
  field,
  title,
  order,
}: {
  readonly field: string;
  readonly title: string;
  readonly order: readonly string[];
}): JSX.Element {
  const direction = sortOf(order, field);
  const next =
    direction === 'none' ? `${field} DESC` : direction === 'descending' ? `${field} ASC` : '';
  const words = { none: '', ascending: ' ↑', descending: ' ↓' };
  return (
    <button type="button" class="plain order" onClick={() => setView({ order: next })}>
      {title}
      {words[direction]}
    </button>
  );
}

function sortOf(order: readonly string[], field: string): 'none' | 'ascending' | 'descending' {
  const found = order.find((each) => each.replace(/ (ASC|DESC)$/, '') === field);
  if (found === undefined) return 'none';
  return found.endsWith(' DESC') ? 'descending' : 'ascending';
}

const kinds: Readonly<Record<string, string>> = { metrics: 'metric', params: 'param', tags: 'tag' };

function kindOf({ field }: Column): JSX.Element | null {
  const kind = kinds[field.slice(0, field.indexOf('.'))];
  return kind === undefined ? null : <span class="kind">{kind}</span>;
}

function rowsOf(
  runs: readonly Run[],
  by: Column | undefined,
  folded: readonly string[],
): readonly Row[] {
  if (by === undefined) return runs.map((run) => ({ run }));
  const groups = Map.groupBy(runs, (run) => cellText(by, run));
  return [...groups].flatMap(([title, of]) => [
    { title, runs: of },
    ...(folded.includes(title) ? [] : of.map((run) => ({ run }))),
  ]);
}
