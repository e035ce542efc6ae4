import type { HistoryTree } from '@keelson/core';
import type { JSX } from 'preact';
import type { WireEvent } from '../../api/answers.ts';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Empty, Heading, Section, Shown } from '../../parts/basics.tsx';
import { showDuration, showExactly } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';
import { ExecutionTable } from '../pipelines/execution-table.tsx';
import { EventTable } from './event-log.tsx';
import { subjectLink } from './subject-link.ts';
import { Waterfall } from './waterfall.tsx';
import '../pipelines/pipelines.css';
import './events.css';

type Node = HistoryTree['roots'][number];

/** All that happened under one correlation id: what caused what, and when. */
export function Correlation({ correlationId }: { readonly correlationId: string }): JSX.Element {
  const live = {
    on: [''],
    matters: (event: WireEvent) => event.correlationId === correlationId,
  };
  const history = useResource(
    `history ${correlationId}`,
    (signal) => api.events.history({ correlationId, limit: 2000 }, { signal }),
    live,
  );
  const executions = useResource(
    `executions ${correlationId}`,
    (signal) => api.executions.list({ correlationId }, { signal }),
    live,
  );
  return (
    <div class="events pipelines">
      <Heading
        above={[['Events', to('events')]]}
        title={
          <>
            Correlation <code>{correlationId}</code>
          </>
        }
        actions={<a href={to('events', { correlation: correlationId })}>in the log</a>}
      />
      {(executions.data?.executions.length ?? 0) > 0 && (
        <Section title="Executions">
          <ExecutionTable executions={executions.data?.executions ?? []} />
        </Section>
      )}
      <Shown of={history}>
        {(tree) => {
          // Ids ascend: they tell the order of what happened in the same millisecond.
          const events = eventsOf(tree.roots).sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
          const [first] = events;
          if (first === undefined) {
            return (
              <Empty title="No event has this correlation id">
                <p>Ids stand in log lines, events and answers (`x-correlation-id`).</p>
              </Empty>
            );
          }
          const last = events.at(-1) ?? first;
          return (
            <>
              <p>
                {tree.events} events from {showExactly(first.at)}, over{' '}
                {showDuration(last.at - first.at)}
                {tree.truncated && '; there are more, these came first'}.
              </p>
              <Section title="Waterfall">
                <Waterfall events={events} />
              </Section>
              <Section title="Causes and effects">
                <ul class="tree">
                  {tree.roots.map((root) => (
                    <Branch key={keyOf(root)} node={root} from={first.at} />
                  ))}
                </ul>
              </Section>
              <Section title="In order">
                <EventTable events={events} />
              </Section>
            </>
          );
        }}
      </Shown>
    </div>
  );
}

function Branch({ node, from }: { readonly node: Node; readonly from: number }): JSX.Element {
  const { event } = node;
  const wire = event as WireEvent | undefined;
  const link = wire === undefined ? undefined : subjectLink(wire);
  return (
    <li>
      {'missing' in node && (
        <span class="faint">
          caused by {node.missing.slice(-8)}, which{' '}
          {node.reason === 'foreign' ? 'belongs to another workflow' : `is ${node.reason}`}
          {wire !== undefined && ': '}
        </span>
      )}
      {wire !== undefined && (
        <span title={showExactly(wire.at)}>
          <b>{wire.type}</b>{' '}
          {link === undefined ? (
            <span class="faint">{wire.subject}</span>
          ) : (
            <a href={link}>{wire.subject}</a>
          )}{' '}
          <span class="faint">+{showDuration(Math.max(0, wire.at - from))}</span>
        </span>
      )}
      {node.effects.length > 0 && (
        <ul>
          {node.effects.map((effect) => (
            <Branch key={keyOf(effect)} node={effect} from={from} />
          ))}
        </ul>
      )}
    </li>
  );
}

function keyOf(node: Node): string {
  return 'missing' in node ? `gap ${node.missing}` : node.event.id;
}

function eventsOf(nodes: readonly Node[]): WireEvent[] {
  return nodes.flatMap((node) => [
    ...('missing' in node ? [] : [node.event as unknown as WireEvent]),
    ...eventsOf(node.effects),
  ]);
}
