import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import { assertText } from '../json.ts';

/** An event of a workflow, and what it caused. */
export interface HistoryEvent {
  readonly event: StoredEvent;
  readonly effects: readonly HistoryEvent[];
}

/** Events whose cause is not in the tree. */
export interface HistoryGap {
  /** The cause that they name. */
  readonly missing: string;
  /**
   * `foreign`: it belongs to another workflow, or to a part of this one that the limit cut off; `absent`:
   * there is no such event (any more); `cycle`: the events name one another, or themselves, as causes.
   */
  readonly reason: 'foreign' | 'absent' | 'cycle';
  /** Of a foreign one. */
  readonly event?: StoredEvent;
  readonly effects: readonly HistoryEvent[];
}

/** A whole workflow: causes above effects, each in the order in which it happened. */
export interface HistoryTree {
  readonly correlationId: string;
  /** What nothing here caused, and gaps where the first of their effects stands. */
  readonly roots: readonly (HistoryEvent | HistoryGap)[];
  /** How many events the tree has. */
  readonly events: number;
  /** There are more than the limit; those that came first are here. */
  readonly truncated: boolean;
}

/** How much of a history is wanted. */
export interface HistoryOptions {
  /** Events at most, 1 to 10,000; 1,000 when left out. */
  readonly limit?: number;
  /** Looks through archives too, all of them: slow where there are many. */
  readonly archived?: boolean;
}

/** Reads events that match, oldest first. */
export type ReadEvents = (filter: EventFilter) => AsyncIterable<StoredEvent>;

const shape = z.strictObject({
  limit: z.int().min(1).max(10_000).optional(),
  archived: z.boolean().optional(),
} satisfies Record<keyof HistoryOptions, z.ZodType>);

const treeShape = z.looseObject({
  correlationId: z.string(),
  roots: z.array(z.looseObject({ effects: z.array(z.unknown()) })),
  events: z.number(),
  truncated: z.boolean(),
} satisfies Record<keyof HistoryTree, z.ZodType>);

/** The history of a correlation as a tree. */
export async function readHistory(
  read: ReadEvents,
  correlationId: string,
  options: HistoryOptions = {},
): Promise<HistoryTree> {
  assertText(correlationId, 'A correlation id', 512);
  const { limit = 1000 } = checkOptions(shape, options, 'historyTree');
  const events: StoredEvent[] = [];
  for await (const event of read({ correlationId })) {
    events.push(event);
    if (events.length > limit) break;
  }
  const truncated = events.length > limit;
  const shown = events.slice(0, limit);
  const here = new Set(shown.map(({ id }) => id));
  const elsewhere = shown.flatMap(({ causationId: id }) => (id && !here.has(id) ? [id] : []));
  const foreign = await readForeign(read, [...new Set(elsewhere)]);
  return { correlationId, roots: rootsOf(shown, foreign), events: shown.length, truncated };
}

async function readForeign(
  read: ReadEvents,
  ids: readonly string[],
): Promise<ReadonlyMap<string, StoredEvent>> {
  const found = new Map<string, StoredEvent>();
  for (let i = 0; i < ids.length; i += 500) {
    for await (const event of read({ ids: ids.slice(i, i + 500) })) found.set(event.id, event);
  }
  return found;
}

interface Node {
  readonly event: StoredEvent;
  readonly effects: Node[];
}

/** Iterative throughout: a workflow may be a chain of ten thousand. */
function rootsOf(
  events: readonly StoredEvent[],
  foreign: ReadonlyMap<string, StoredEvent>,
): readonly (HistoryEvent | HistoryGap)[] {
  const nodes = new Map(events.map((event): [string, Node] => [event.id, { event, effects: [] }]));
  const roots: (Node | HistoryGap)[] = [];
  const gaps = new Map<string, Node[]>();
  const looped = loops(events);
  for (const node of nodes.values()) {
    const { id, causationId } = node.event;
    const cause = causationId === undefined ? undefined : nodes.get(causationId);
    if (causationId === undefined) roots.push(node);
    else if (cause !== undefined && !looped.has(id)) cause.effects.push(node);
    else {
      const same = gaps.get(causationId);
      if (same !== undefined) same.push(node);
      else roots.push(gapOf(causationId, gaps, node, { looped: looped.has(id), foreign }));
    }
  }
  return roots;
}

function gapOf(
  missing: string,
  gaps: Map<string, Node[]>,
  first: Node,
  known: { readonly looped: boolean; readonly foreign: ReadonlyMap<string, StoredEvent> },
): HistoryGap {
  const effects = [first];
  gaps.set(missing, effects);
  if (known.looped) return { missing, reason: 'cycle', effects };
  const event = known.foreign.get(missing);
  return event === undefined
    ? { missing, reason: 'absent', effects }
    : { missing, reason: 'foreign', event, effects };
}

/** Where to cut events that name one another as causes: the first of each circle. */
function loops(events: readonly StoredEvent[]): ReadonlySet<string> {
  const causes = new Map(events.map(({ id, causationId }) => [id, causationId]));
  const settled = new Set<string>();
  const cut = new Set<string>();
  for (const { id: start } of events) {
    const path = new Set<string>();
    let at: string | undefined = start;
    while (at !== undefined && causes.has(at) && !settled.has(at) && !path.has(at)) {
      path.add(at);
      at = causes.get(at);
    }
    // The walk met itself: everything from there on is the circle, and its earliest event is cut off.
    if (at !== undefined && path.has(at)) {
      const circle = [...path].slice([...path].indexOf(at));
      const earliest = events.find(({ id }) => circle.includes(id));
      cut.add(earliest?.id ?? at);
    }
    for (const id of path) settled.add(id);
  }
  return cut;
}

/**
 * A history for people: a line for each event with the time since the first, its type, subject and who
 * caused it, drawn like a tree of files. Control characters in names are shown, not sent to the terminal.
 */
export function historyText(tree: HistoryTree): string {
  checkOptions(treeShape, tree, 'historyText');
  const start = firstAt(tree);
  const more = tree.truncated ? ', and more that are not shown' : '';
  const lines = [`${printable(tree.correlationId)}: ${count(tree.events)}${more}`];
  // A stack instead of recursion; pushed in reverse, so that the first comes off first.
  const stack = [...tree.roots].toReversed().map((node, i) => line(node, '', i === 0));
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { node, indent, last } = next;
    lines.push(
      `${indent}${last ? '└─ ' : '├─ '}${'event' in node && !('missing' in node) ? told(node.event, start) : gap(node as HistoryGap)}`,
    );
    const below = `${indent}${last ? '   ' : '│  '}`;
    stack.push(...node.effects.toReversed().map((child, i) => line(child, below, i === 0)));
  }
  return lines.join('\n');
}

interface Line {
  readonly node: HistoryEvent | HistoryGap;
  readonly indent: string;
  readonly last: boolean;
}

function line(node: HistoryEvent | HistoryGap, indent: string, last: boolean): Line {
  // Deep chains go on at one margin, or each line would be as long as the chain.
  return { node, indent: indent.length > 120 ? '… ' : indent, last };
}

function told({ at, type, subject, principal }: StoredEvent, start: number): string {
  const when = at === start ? new Date(at).toISOString() : since(at - start);
  return `${when} ${printable(type)} ${printable(subject)} (${printable(principal)})`;
}

function gap({ missing, reason, event }: HistoryGap): string {
  const cause = printable(missing);
  if (reason === 'cycle') return `? ${cause}: these events name one another as causes`;
  if (event === undefined) return `? ${cause}: there is no such event`;
  return `? ${cause}: ${printable(event.type)} ${printable(event.subject)} of ${printable(event.correlationId)}`;
}

function firstAt(tree: HistoryTree): number {
  let first = Number.POSITIVE_INFINITY;
  const stack: (HistoryEvent | HistoryGap)[] = [...tree.roots];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (!('missing' in node)) first = Math.min(first, node.event.at);
    stack.push(...node.effects);
  }
  return first;
}

function since(ms: number): string {
  const sign = ms < 0 ? '−' : '+';
  const size = Math.abs(ms);
  if (size < 1000) return `${sign}${size} ms`;
  if (size < 60_000) return `${sign}${(size / 1000).toFixed(1)} s`;
  if (size < 3_600_000) return `${sign}${(size / 60_000).toFixed(1)} min`;
  return `${sign}${(size / 3_600_000).toFixed(1)} h`;
}

function count(events: number): string {
  return events === 1 ? '1 event' : `${events} events`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function printable(text: string): string {
  return text.replace(control, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
