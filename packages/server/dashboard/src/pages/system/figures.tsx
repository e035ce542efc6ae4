import type { ComponentChildren, JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Facts, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showBytes, showDuration, showNumber, showShare } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';
import {
  type Distribution,
  distributionsOf,
  quantileOf,
  readExposition,
  type Sample,
  samplesOf,
} from './exposition.ts';

/** The figures of the process that answers: what runs in its background, what is slow, what fails. */
export function Figures({ of }: { readonly of: 'work' | 'storage' }): JSX.Element {
  const metrics = useResource(
    'metrics',
    async (signal) => readExposition(await (await api.system.metrics({}, { signal })).text()),
    // Figures change with whatever happens.
    { on: [''] },
  );
  return (
    <Shown of={metrics}>
      {(all) =>
        of === 'work' ? (
          <>
            <Loops all={all} />
            <Slow all={all} />
            <Failures all={all} />
          </>
        ) : (
          <Storage all={all} />
        )
      }
    </Shown>
  );
}

interface All {
  readonly all: readonly Sample[];
}

function Loops({ all }: All): JSX.Element {
  const lags = samplesOf(all, 'keelson_loop_lag_seconds');
  const rounds = samplesOf(all, 'keelson_loop_rounds_total');
  const success = samplesOf(all, 'keelson_loop_last_success_timestamp_seconds');
  const names = [...new Set([...lags, ...rounds].map(({ labels }) => labels['loop'] ?? ''))].sort();
  return (
    <Section title="Background loops of this process">
      {names.length === 0 && (
        <p class="faint">
          None runs here: <code>platform.start()</code> begins them.
        </p>
      )}
      {names.length > 0 && (
        <Table head={['Loop', 'State', '#Behind', '#Rounds', '#Failed', 'Last success']}>
          {names.map((name) => {
            const of = (list: readonly Sample[]): readonly Sample[] =>
              list.filter(({ labels }) => labels['loop'] === name);
            const total = sum(of(rounds));
            const failed = sum(of(rounds).filter(({ labels }) => isFailure(labels['outcome'])));
            const lagMs = sum(of(lags)) * 1000;
            const at = of(success)[0]?.value;
            return (
              <tr key={name}>
                <td>{name}</td>
                <td>
                  <Status {...loopState(lagMs, total, failed)} />
                </td>
                <td class="number">{lagMs === 0 ? '–' : showDuration(lagMs)}</td>
                <td class="number">{showNumber(total)}</td>
                <td class="number">{showNumber(failed)}</td>
                <td>
                  <Ago at={at === undefined || at === 0 ? undefined : at * 1000} />
                </td>
              </tr>
            );
          })}
        </Table>
      )}
    </Section>
  );
}

const timed = [
  ['keelson_commit_duration_seconds', 'Commit to the store'],
  ['keelson_event_handling_duration_seconds', 'Handler of events'],
  ['keelson_event_delivery_delay_seconds', 'Event until its handler'],
  ['keelson_step_duration_seconds', 'Step of a pipeline'],
  ['keelson_serving_request_duration_seconds', 'Prediction'],
  ['keelson_serving_queue_duration_seconds', 'Prediction, waiting'],
  ['keelson_serving_model_duration_seconds', 'Prediction, in the model'],
] as const;

function Slow({ all }: All): JSX.Element {
  const rows = timed
    .flatMap(([name, title]) =>
      distributionsOf(all, name).map((each) => ({ title, each, p99: quantileOf(each, 0.99) })),
    )
    .sort((a, b) => b.p99 - a.p99)
    .slice(0, 40);
  return (
    <Section title="How long things took, slowest first">
      {rows.length === 0 ? (
        <p class="faint">Nothing was timed in this process yet.</p>
      ) : (
        <Table head={['What', 'Of', '#Times', '#Mean', '#Half below', '#99 % below']}>
          {rows.map(({ title, each, p99 }) => (
            <tr key={title + JSON.stringify(each.labels)}>
              <td>{title}</td>
              <td class="wrap">{labelsText(each)}</td>
              <td class="number">{showNumber(each.count)}</td>
              <td class="number">{showDuration((1000 * each.sum) / each.count)}</td>
              <td class="number">{bound(quantileOf(each, 0.5))}</td>
              <td class="number">{bound(p99)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Section>
  );
}

const counted = [
  ['keelson_commits_total', 'Commits', 'outcome', []],
  ['keelson_event_handlings_total', 'Handlers', 'outcome', ['subscription']],
  ['keelson_loop_rounds_total', 'Loops', 'outcome', ['loop']],
  ['keelson_serving_requests_total', 'Predictions', 'status', ['deployment', 'version']],
] as const;

function Failures({ all }: All): JSX.Element {
  const rows = counted.flatMap(([name, title, outcome, by]) => {
    const groups = new Map<string, Sample[]>();
    for (const sample of samplesOf(all, name)) {
      const key = by.map((label) => sample.labels[label]).join(' ');
      groups.set(key, [...(groups.get(key) ?? []), sample]);
    }
    return [...groups].flatMap(([of, samples]) => {
      const total = sum(samples);
      return samples
        .filter(({ labels, value }) => value > 0 && isFailure(labels[outcome]))
        .map(({ labels, value }) => ({ title, of, code: labels[outcome] ?? '', value, total }));
    });
  });
  return (
    <Section
      title="Failures, by part and code"
      actions={<a href={to('events', { tab: 'dead-letters' })}>Dead letters</a>}
    >
      {rows.length === 0 ? (
        <p>
          <Status of="none" tone="good" /> since this process began.
        </p>
      ) : (
        <Table head={['Part', 'Of', 'Code', '#Failures', '#Rate']}>
          {rows
            .sort((a, b) => b.value / b.total - a.value / a.total)
            .map(({ title, of, code, value, total }) => (
              <tr key={`${title} ${of} ${code}`}>
                <td>{title}</td>
                <td class="wrap">{of}</td>
                <td>
                  <code>{code}</code>
                </td>
                <td class="number">{showNumber(value)}</td>
                <td class="number">{showShare(value / total)}</td>
              </tr>
            ))}
        </Table>
      )}
    </Section>
  );
}

function Storage({ all }: All): JSX.Element {
  const one = (name: string): number | undefined => {
    const found = samplesOf(all, name);
    return found.length === 0 ? undefined : sum(found);
  };
  const memory = one('process_resident_memory_bytes');
  const connections = samplesOf(all, 'keelson_database_connections');
  return (
    <Section
      title="This process and its store"
      actions={<a href={to('system', { check: 'disk' })}>The disk</a>}
    >
      <Facts
        of={[
          ['Memory', memory === undefined ? undefined : showBytes(memory)],
          ['CPU time', showDuration(1000 * (one('process_cpu_seconds_total') ?? 0))],
          ['Points logged', showNumber(one('keelson_points_logged_total'))],
          ['Points that are not durable yet', showNumber(one('keelson_points_pending'))],
          ['Points spooled', showNumber(one('keelson_points_spooled'))],
          ['Points lost', showNumber(one('keelson_points_lost_total'))],
          ['Open runs', showNumber(one('keelson_runs_open'))],
          ['Open executions', showNumber(one('keelson_executions_open'))],
          ['Notifications that wait', showNumber(one('keelson_notifications_pending'))],
          ['Notifications given up', showNumber(one('keelson_notifications_failed'))],
          connections.length > 0 && [
            'Connections',
            connections.map(({ labels, value }) => `${value} ${labels['state']}`).join(', '),
          ],
        ]}
      />
    </Section>
  );
}

/** A table; heads that begin with `#` are of numbers. */
function Table({
  head,
  children,
}: {
  readonly head: readonly string[];
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            {head.map((each) => (
              <th key={each} class={each.startsWith('#') ? 'number' : undefined}>
                {each.replace('#', '')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scroll>
  );
}

function sum(samples: readonly Sample[]): number {
  return samples.reduce((total, { value }) => total + value, 0);
}

/** Whether an outcome, or an HTTP status, says that something failed. */
function isFailure(outcome = ''): boolean {
  if (/^\d+$/.test(outcome)) return Number(outcome) >= 400;
  return !['ok', 'success', 'committed', 'handled', 'completed', 'done'].includes(outcome);
}

function loopState(
  lagMs: number,
  rounds: number,
  failed: number,
): { readonly of: string; readonly tone: 'good' | 'bad' | 'warn' | 'quiet' } {
  if (rounds === 0) return { of: 'not come round yet', tone: 'quiet' };
  if (failed === rounds) return { of: 'fails', tone: 'bad' };
  return lagMs > 5_000 ? { of: 'late', tone: 'warn' } : { of: 'runs', tone: 'good' };
}

function labelsText({ labels }: Distribution): string {
  return Object.values(labels).join(' ') || '–';
}

function bound(seconds: number): string {
  return Number.isFinite(seconds) ? `≤ ${showDuration(seconds * 1000)}` : 'longer';
}
