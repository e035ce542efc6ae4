import { readdirSync, readFileSync } from 'node:fs';
import { eventCatalogue, eventTypes } from '../src/events/event-catalogue.ts';

const catalogue = new URL('../src/events/catalogue/', import.meta.url);

/** Short names of unions, which the page spells out. */
const aliases = new Map<string, string>();

/** A field of a payload, as the sources declare it. */
interface Field {
  readonly name: string;
  readonly type: string;
  readonly optional: boolean;
  readonly comment: string;
}

/** The page `docs/events.md`: each type of the catalogue with its fields and an example. */
export function eventReference(): string {
  const sources = readdirSync(catalogue)
    .filter((name) => name.endsWith('-events.ts'))
    .map((name) => readFileSync(new URL(name, catalogue), 'utf8'));
  for (const source of sources) {
    for (const [, name = '', union = ''] of source.matchAll(
      /^(?:export )?type (\w+) =\s+\|?\s*('[^;]*');$/gm,
    )) {
      aliases.set(name, union.replaceAll(/\s+/g, ' '));
    }
  }
  const interfaces = new Map(sources.flatMap((source) => [...interfacesOf(source)]));
  const named = new Map(sources.flatMap((source) => [...payloadNames(source)]));
  const sections = eventTypes.map((type) => {
    const fields = interfaces.get(named.get(type) ?? '');
    if (fields === undefined) throw new Error(`No interface is declared for ${type}.`);
    return sectionOf(type, fields, interfaces);
  });
  return `${[introduction, overview(), ...sections].join('\n\n')}\n`;
}

const introduction = `# Events

Made from the catalogue in \`packages/core/src/events/catalogue/\` (\`npm test -- packages/core/src/events/event-reference.test.ts -u\` writes it anew).

Every event has \`id\`, \`type\`, \`source\`, \`subject\`, \`at\` (epoch ms), \`payload\`, \`schemaVersion\`, \`correlationId\`, \`causationId\` where another event caused it, \`principal\`, \`workspace\`, and \`subjectSequence\`: 1, 2, 3 … within its subject. Events of types marked *reserved* are declared, and not emitted by this version.

\`\`\`ts
await platform.events.subscribe('mail-owners', { types: ['model.promoted'] }, async (event) => {
  event.payload.newStage; // typed by the type
});
\`\`\`

**Of one's own.** \`platform.events.publish({ type: 'invoice.sent', subject: 'invoice:7', payload })\`; \`openPlatform({ events: { types: [{ type: 'invoice.sent', payload: z.object({ … }) }] } })\` declares what it carries. Nouns of the table below are the platform's.

**Versions.** A payload of an older schema version is brought up to today's when it is read; one of a newer version comes as it is, with \`newerSchema: true\`. A payload that does not fit its type is CORRUPT, and a dead letter of a subscription that meets it.

**A whole workflow.** \`historyText(await platform.events.historyTree(correlationId))\` prints it, causes above effects.

**Elsewhere.** \`toCloudEvent(event)\` is CloudEvents 1.0 (JSON format), \`cloudEventMessage\` its HTTP binary mode, \`fromCloudEvent\` the way back.

**Old ones.** Events stay in the log for 7 years where they tell who changed what is in use (models, promotions, aliases, deployments, rollouts, routes, A/B tests, incidents, experiments, deleted runs), for 90 days where they tell of steps, predictions, health and dead letters, for a year otherwise; \`openPlatform({ events: { retention: { 'step.*': 30 * 86_400_000, 'run.*': 'forever' } } })\` says otherwise. Then a loop of \`platform.start()\` moves them into archives in the artifact store: gzipped lines of JSON. \`events.each({ archived: true })\` reads both, each event once; \`events.archived(filter)\` and \`events.archives()\` only what was moved. An event that a subscription has not passed, or that a dead letter names, stays.`;

function overview(): string {
  const rows = eventTypes.map((type) => {
    const { meaning, source, reserved, alias } = eventCatalogue[type];
    const notes = [...(reserved ? ['reserved'] : []), ...(alias ? [`also \`${alias}\``] : [])];
    return `| [\`${type}\`](#${type.replaceAll('.', '')}) | ${source} | ${meaning} | ${notes.join(', ')} |`;
  });
  return ['| type | source | says | |', '|---|---|---|---|', ...rows].join('\n');
}

/** Names that only the sources know become what they stand for. */
function spelled(kind: string, interfaces: ReadonlyMap<string, readonly Field[]>): string {
  return kind.replace(/\b[A-Z]\w+\b/g, (name) => {
    const fields = interfaces.get(name);
    if (fields === undefined) return aliases.get(name) ?? name;
    const parts = fields.map((each) => `${each.name}${each.optional ? '?' : ''}: ${each.type}`);
    return `{ ${parts.join('; ')} }`;
  });
}

function sectionOf(
  type: (typeof eventTypes)[number],
  fields: readonly Field[],
  interfaces: ReadonlyMap<string, readonly Field[]>,
): string {
  const { meaning, source, subject, schemaVersion, reserved, alias, example } =
    eventCatalogue[type];
  const facts = [
    `Source \`${source}\``,
    `subject \`${subject}\``,
    `schema version ${schemaVersion}`,
    ...(alias ? [`filters also know it as \`${alias}\``] : []),
    ...(reserved ? ['reserved'] : []),
  ];
  const rows = fields.map(
    ({ name, type: kind, optional, comment }) =>
      `| \`${name}\`${optional ? ' (optional)' : ''} | \`${spelled(kind, interfaces).replaceAll('|', '\\|')}\` | ${comment} |`,
  );
  return [
    `## ${type}`,
    meaning,
    `${facts.join(' · ')}.`,
    ['| field | type | |', '|---|---|---|', ...rows].join('\n'),
    `\`\`\`json\n${JSON.stringify(example, null, 2)}\n\`\`\``,
  ].join('\n\n');
}

/** Type → the name of its interface, as `…EventPayloads` maps them. */
function payloadNames(source: string): Map<string, string> {
  return new Map(
    [...source.matchAll(/^ {2}readonly '([a-z_.-]+)': ([A-Z]\w+);$/gm)].map((match) => [
      match[1] as string,
      match[2] as string,
    ]),
  );
}

function interfacesOf(source: string): Map<string, readonly Field[]> {
  const found = new Map<string, readonly Field[]>();
  const declarations = source.matchAll(
    /^export interface (\w+)(?: extends (\w+))? \{\n(.*?)^\}/gms,
  );
  for (const [, name = '', parent, body = ''] of declarations) {
    const inherited = parent === undefined ? [] : (found.get(parent) ?? []);
    const own = fieldsOf(body);
    const names = new Set(own.map((field) => field.name));
    found.set(name, [...inherited.filter((field) => !names.has(field.name)), ...own]);
  }
  return found;
}

function fieldsOf(body: string): Field[] {
  const fields = body.matchAll(
    /(?:^ {2}\/\*\* (?<comment>[^\n]*) \*\/\n)?^ {2}readonly (?<name>\w+)(?<optional>\??): (?<type>.*?);$(?!\n {4})/gms,
  );
  return [...fields].map(({ groups }) => ({
    name: groups?.['name'] ?? '',
    type: (groups?.['type'] ?? '').replace(/\s+/g, ' ').replaceAll('readonly ', ''),
    optional: groups?.['optional'] === '?',
    comment: groups?.['comment'] ?? '',
  }));
}
