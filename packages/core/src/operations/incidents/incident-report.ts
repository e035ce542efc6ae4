import { cell, line } from '../../markdown-text.ts';
import type { Incident } from './incident.ts';
import { actionsIn, type IncidentMoment } from './incident-timeline.ts';

/** What requests met over the time of an incident. */
export interface IncidentImpact {
  /** The period, in epoch ms: from the first moment to the resolution, or to now. */
  readonly from: number;
  readonly to: number;
  /** Answered ones; missing where it concerns no deployment. */
  readonly requests?: number;
  readonly errors?: number;
  /** The share of right answers among those whose label is known; missing where none is. */
  readonly accuracy?: number;
  readonly labels?: number;
}

/** An incident with all that is put together for its review. */
export interface IncidentReport {
  readonly incident: Incident;
  readonly timeline: readonly IncidentMoment[];
  /** Of the timeline, what somebody or a policy did. */
  readonly actions: readonly IncidentMoment[];
  readonly impact: IncidentImpact;
}

/** The report as Markdown. */
export function incidentMarkdown({ incident, timeline, impact }: IncidentReport): string {
  const { id, title, severity, state, concerns, model, openedBy, correlationId } = incident;
  const { verification, review } = incident;
  const lines = [
    `# ${line(title)}`,
    '',
    `| | |`,
    '|---|---|',
    `| incident | ${id} |`,
    `| severity | ${severity} |`,
    `| state | ${state}${review === undefined ? ', review open' : ', reviewed'} |`,
    ...(concerns === undefined ? [] : [`| concerns | ${cell(concerns)} |`]),
    ...(model === undefined ? [] : [`| model | ${cell(model)} |`]),
    `| opened | ${time(incident.openedAt)} by ${cell(openedBy)} |`,
    `| correlation | ${cell(correlationId)} |`,
    '',
    '## Impact',
    '',
    `${time(impact.from)} to ${time(impact.to)}.`,
    ...impactLines(impact),
    '',
    '## Timeline',
    '',
    '| time | what | by | |',
    '|---|---|---|---|',
    ...timeline.map(
      (one) => `| ${time(one.at)} | ${cell(one.what)} | ${cell(one.by)} | ${cell(one.text)} |`,
    ),
    '',
    '## What acted',
    '',
    ...listOf(actionsIn(timeline).map((one) => `${line(one.by)}: ${one.what}: ${line(one.text)}`)),
    '',
    '## Verification',
    '',
    verification === undefined
      ? 'Not verified yet.'
      : `${time(verification.at)}, ${line(verification.by)}: ${line(verification.text)} (health: ${verification.health})`,
    '',
    '## Review',
    '',
    ...(review === undefined
      ? ['Open.']
      : [
          `${time(review.at)}, ${line(review.by)}: ${line(review.outcome)}`,
          '',
          ...listOf(review.actions.map(line)),
        ]),
    '',
  ];
  return lines.join('\n');
}

function impactLines({ requests, errors, accuracy, labels }: IncidentImpact): readonly string[] {
  if (requests === undefined) return [];
  const wrong = requests === 0 ? '' : ` (${((100 * (errors ?? 0)) / requests).toFixed(2)} %)`;
  const right =
    accuracy === undefined ? '' : ` Accuracy ${(100 * accuracy).toFixed(2)} % of ${labels} labels.`;
  return ['', `${requests} requests, ${errors} errors${wrong}.${right}`];
}

function listOf(items: readonly string[]): readonly string[] {
  return items.length === 0 ? ['None.'] : items.map((item) => `- ${item}`);
}

function time(at: number): string {
  return new Date(at).toISOString();
}
