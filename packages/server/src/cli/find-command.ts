import { type CommandRow, UsageError } from './command.ts';
import { groups } from './command-table.ts';
import { globalOptions } from './global-options.ts';
import { nearest } from './nearest.ts';
import { typedName } from './option-names.ts';

/** What a command line asks for: a command with what is typed around its name, help, or the version. */
export type Asked =
  | { readonly kind: 'overview' }
  | { readonly kind: 'group'; readonly group: string; readonly asked: boolean }
  | { readonly kind: 'command'; readonly row: CommandRow; readonly args: readonly string[] };

const takeValue = new Set(
  Object.entries(globalOptions)
    .filter(([, { type }]) => type !== 'flag')
    .map(([key]) => `--${typedName(key)}`),
);

/** Finds the command that a line names. UsageError, with the nearest name, when there is none. */
export function findCommand(argv: readonly string[], commands: readonly CommandRow[]): Asked {
  const words: string[] = [];
  const args: string[] = [];
  let at = 0;
  for (; at < argv.length; at += 1) {
    const word = argv[at] as string;
    if (word.startsWith('-')) {
      // An option of every command may stand before the name; others belong to a command that is known by now.
      if (words.length > 0 && !isGroup(words)) break;
      args.push(word);
      if (takeValue.has(word) && at + 1 < argv.length) {
        at += 1;
        args.push(argv[at] as string);
      }
      continue;
    }
    if (!leads([...words, word], commands)) break;
    words.push(word);
  }
  const rest = argv.slice(at);
  const row = commands.find(({ name }) => name === words.join(' '));
  if (row !== undefined) return { kind: 'command', row, args: [...args, ...rest] };
  const wrong = rest.find((word) => !word.startsWith('-'));
  if (wrong !== undefined) throw unknownCommand(words, wrong, commands);
  const asked = args.includes('--help') || args.includes('-h');
  const group = words[0];
  if (group !== undefined) return { kind: 'group', group, asked };
  if (asked || argv.length === 0) return { kind: 'overview' };
  if (argv.includes('--version') || argv.includes('-V')) {
    const version = commands.find(({ name }) => name === 'version') as CommandRow;
    return { kind: 'command', row: version, args: argv.filter((word) => !isVersion(word)) };
  }
  throw new UsageError('A command is missing; `keelson --help` lists them.');
}

function isVersion(word: string): boolean {
  return word === '--version' || word === '-V';
}

function isGroup(words: readonly string[]): boolean {
  return words.length === 1 && (words[0] as string) in groups;
}

function leads(words: readonly string[], commands: readonly CommandRow[]): boolean {
  const begun = words.join(' ');
  return commands.some(({ name }) => name === begun || name.startsWith(`${begun} `));
}

function unknownCommand(
  words: readonly string[],
  wrong: string,
  commands: readonly CommandRow[],
): UsageError {
  const before = words.length === 0 ? '' : `${words.join(' ')} `;
  const names = commands
    .filter(({ name }) => name.startsWith(before))
    .map(({ name }) => name.slice(before.length).split(' ')[0] as string);
  const near = nearest(wrong, [...new Set(names)]);
  // Whoever types `keelson list` or `keelson show` has a group in mind.
  const within = commands.filter(({ name }) => before === '' && name.endsWith(` ${wrong}`));
  const hint =
    near !== undefined
      ? ` Did you mean \`keelson ${before}${near}\`?`
      : within.length > 0
        ? ` There are ${within.map(({ name }) => `\`keelson ${name}\``).join(', ')}.`
        : ` \`keelson ${before}--help\` lists what there is.`;
  return new UsageError(`There is no command \`keelson ${before}${wrong}\`.${hint}`);
}
