import type { CheckReport } from '@keelson/core';
import type { JSX } from 'preact';
import { Ago, Facts, Scroll, Status } from '../../parts/basics.tsx';
import { showDuration, showExactly, showValue } from '../../parts/format.ts';
import { setView, view } from '../../routing/address.ts';
import { CheckHistory } from './check-history.tsx';

const order = ['UNHEALTHY', 'DEGRADED', 'UNKNOWN', 'HEALTHY'];

/** Each check, faults first; the one that is chosen with its details and what happened to its component. */
export function Checks({ checks }: { readonly checks: readonly CheckReport[] }): JSX.Element {
  const chosen = view('check');
  const sorted = [...checks].sort(
    (a, b) =>
      order.indexOf(a.status) - order.indexOf(b.status) ||
      a.component.localeCompare(b.component) ||
      a.name.localeCompare(b.name),
  );
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            <th>Check</th>
            <th>State</th>
            <th>Part</th>
            <th>What it says</th>
            <th>Since</th>
            <th>Looked</th>
            <th class="number">Took</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((check) => {
            const { name, component, status, message, since, at, durationMs, critical } = check;
            const isChosen = name === chosen;
            return [
              <tr key={name}>
                <td>
                  <button
                    type="button"
                    class="plain"
                    aria-expanded={isChosen}
                    onClick={() => setView({ check: isChosen ? undefined : name })}
                  >
                    {name}
                  </button>
                </td>
                <td>
                  <Status of={status} />
                </td>
                <td>
                  {component}
                  {critical && <span class="faint"> critical</span>}
                </td>
                <td class="wrap says">{message}</td>
                <td>
                  <Ago at={since} />
                </td>
                <td>
                  <Ago at={at} />
                </td>
                <td class="number">{at === undefined ? '–' : showDuration(durationMs)}</td>
              </tr>,
              isChosen && (
                <tr key={`${name} chosen`} class="chosen">
                  <td colSpan={7}>
                    <Details check={check} />
                  </td>
                </tr>
              ),
            ];
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

function Details({ check }: { readonly check: CheckReport }): JSX.Element {
  const { name, component, kind, failures, since, details = {} } = check;
  const plain = Object.entries(details).filter(([, value]) => !isObject(value));
  const tables = Object.entries(details).filter(([, value]) => isObject(value));
  return (
    <>
      <Facts
        of={[
          ['Kind', kind],
          ['Failures in a row', String(failures)],
          since !== undefined && ['Since', showExactly(since)],
          ...plain.map(([key, value]) => [key, showValue(value)] as const),
        ]}
      />
      {tables.length > 0 && <Nested of={tables} />}
      <CheckHistory check={name} component={component} />
    </>
  );
}

/** Details that are objects of the same fields, such as the breakers with how each stands. */
function Nested({ of }: { readonly of: readonly (readonly [string, unknown])[] }): JSX.Element {
  const columns = [...new Set(of.flatMap(([, value]) => Object.keys(value as object)))];
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            <th>Of</th>
            {columns.map((column) => (
              <th key={column}>{column}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {of.map(([name, value]) => (
            <tr key={name}>
              <td>{name}</td>
              {columns.map((column) => (
                <td key={column} class="wrap">
                  {showValue((value as Record<string, unknown>)[column])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
