import type { Command, CommandRow, Option, Positional } from './command.ts';
import { commandTable, groups } from './command-table.ts';
import { globalOptions } from './global-options.ts';
import { typedName } from './option-names.ts';
import type { Terminal } from './terminal.ts';
import { pad, textWidth, wrap } from './text-width.ts';

const indent = 2;

/** `keelson --help`: every command in a line, loading none. */
export function overviewHelp(terminal: Terminal): string {
  const single = commandTable.filter(({ name }) => !(firstWord(name) in groups));
  const grouped = Object.entries(groups).filter(([group]) => inGroup(group).length > 0);
  return page(terminal, [
    'Keelson: experiments, models, pipelines, serving and monitoring.',
    ['Usage', ['keelson <command> [options]']],
    [
      'Commands',
      terms(
        terminal,
        single.map(({ name, summary }) => [name, summary]),
      ),
    ],
    ...(grouped.length === 0 ? [] : [['Groups', terms(terminal, grouped)] as const]),
    ['Options of every command', terms(terminal, optionTerms(globalOptions))],
    '`keelson <command> --help` has examples. `--version` prints the version.',
  ]);
}

/** `keelson runs --help`. */
export function groupHelp(terminal: Terminal, group: string): string {
  const rows = inGroup(group).map(({ name, summary }) => [name, summary] as const);
  return page(terminal, [
    `${groups[group] ?? group}.`,
    ['Usage', [`keelson ${group} <command> [options]`]],
    ['Commands', terms(terminal, rows)],
    `\`keelson ${group} <command> --help\` has examples.`,
  ]);
}

/** `keelson runs list --help`. */
export function commandHelp(terminal: Terminal, row: CommandRow, command: Command): string {
  const places = Object.entries(command.positionals ?? {});
  const options = command.options ?? {};
  const own = Object.keys(options).length > 0;
  return page(terminal, [
    `${row.summary}.`,
    ['Usage', [usageLine(row.name, command)]],
    ...(command.description === undefined
      ? []
      : [
          command.description
            .split('\n\n')
            .map((paragraph) => wrap(paragraph.replace(/\s+/g, ' '), terminal.columns).join('\n'))
            .join('\n\n'),
        ]),
    ...(places.length === 0
      ? []
      : [
          [
            'Arguments',
            terms(
              terminal,
              places.map(([name, { summary }]) => [`<${name}>`, summary]),
            ),
          ] as const,
        ]),
    ...(own ? [['Options', terms(terminal, optionTerms(options))] as const] : []),
    ['Options of every command', terms(terminal, optionTerms(globalOptions))],
    ['Examples', exampleLines(terminal, command.examples)],
  ]);
}

/** How a command is typed, such as `keelson runs show <run> [options]`. */
export function usageLine(name: string, { positionals = {} }: Command): string {
  return ['keelson', name, ...Object.entries(positionals).map(place), '[options]'].join(' ');
}

/** Options as they are typed, each with what it does and its default. */
export function optionTerms(
  options: Readonly<Record<string, Option>>,
): readonly (readonly [string, string])[] {
  return Object.entries(options).map(([key, option]) => [optionTerm(key, option), told(option)]);
}

/** Rows of a group. */
function inGroup(group: string): readonly CommandRow[] {
  return commandTable.filter(({ name }) => name.startsWith(`${group} `));
}

function place([name, { optional, many, verbatim }]: [string, Positional]): string {
  const text = many === true || verbatim === true ? `<${name}>…` : `<${name}>`;
  return optional === true || verbatim === true ? `[${text}]` : text;
}

function optionTerm(key: string, option: Option): string {
  const short = option.short === undefined ? '' : `-${option.short}, `;
  const name = `${short}--${typedName(key)}`;
  if (option.type === 'flag') return option.default === true ? `--no-${typedName(key)}` : name;
  if (option.type === 'choice') return `${name} <${option.choices.join('|')}>`;
  return `${name} <${option.placeholder ?? option.type}>`;
}

function told(option: Option): string {
  const parts = [option.summary];
  if (option.type === 'flag') return option.summary;
  if (option.required === true) parts.push('(required)');
  if (option.many === true) parts.push('(may be repeated)');
  if (option.default !== undefined) parts.push(`[${option.default}]`);
  return parts.join(' ');
}

type Part = string | readonly [title: string, lines: readonly string[]];

function page(terminal: Terminal, parts: readonly Part[]): string {
  const texts = parts.map((part) => {
    if (typeof part === 'string') return part;
    const [title, lines] = part;
    return [terminal.style('bold', title), ...lines.map((line) => ' '.repeat(indent) + line)].join(
      '\n',
    );
  });
  return `${texts.join('\n\n')}\n`;
}

const widestTerm = 30;

/** Terms with what they mean beside them, or below where a term is long. */
function terms(terminal: Terminal, all: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(widestTerm, Math.max(0, ...all.map(([term]) => textWidth(term)))) + 2;
  return all.flatMap(([term, meaning]) => {
    const lines = wrap(meaning, Math.max(20, terminal.columns - indent - width));
    const beside = textWidth(term) + 2 <= width;
    const first = beside ? [pad(term, width) + (lines.shift() ?? '')] : [term];
    return [...first, ...lines.map((line) => ' '.repeat(width) + line)];
  });
}

function exampleLines(terminal: Terminal, examples: Command['examples']): string[] {
  return examples.flatMap(([line, does], index) => [
    ...(index === 0 ? [] : ['']),
    ...wrap(does, terminal.columns - indent - 2).map((text) => terminal.style('dim', `# ${text}`)),
    line,
  ]);
}

function firstWord(name: string): string {
  return name.split(' ')[0] ?? name;
}
