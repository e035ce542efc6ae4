import { type Option, UsageError } from './command.ts';
import { globalOptions } from './global-options.ts';
import { typedName } from './option-names.ts';

/** A command as a shell completes it. */
export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
}

/** The script by which a shell completes `keelson`: command names, then options, else files. */
export function completionScript(shell: string, commands: readonly CompletedCommand[]): string {
  if (shell === 'bash') return bash(commands);
  if (shell === 'zsh') return `autoload -U bashcompinit && bashcompinit\n${bash(commands)}`;
  if (shell === 'fish') return fish(commands);
  throw new UsageError(`There is no completion for "${shell}"; there are bash, zsh and fish.`);
}

function bash(commands: readonly CompletedCommand[]): string {
  const firsts = [...new Set(commands.map(({ name }) => first(name)))];
  const cases = commands.map(
    ({ name, options }) => `    "${name}") words="${names(options).join(' ')}";;`,
  );
  const groups = firsts
    .map((group) => [group, commands.filter(({ name }) => name.startsWith(`${group} `))] as const)
    .filter(([, members]) => members.length > 0)
    .map(
      ([group, members]) =>
        `    "${group}") words="${members.map(({ name }) => name.slice(group.length + 1)).join(' ')}";;`,
    );
  return `_keelson() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words="" one="" two="" word at
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    case "$word" in
      --dir|--workspace|--config|--set) ((at++));;
      -*) ;;
      *) if [ -z "$one" ]; then one="$word"; elif [ -z "$two" ]; then two="$word"; fi;;
    esac
  done
  case "$one" in
    "") words="${firsts.join(' ')}";;
${groups.join('\n')}
  esac
  if [[ "$current" == -* ]]; then
    words="${names({}).join(' ')}"
    case "$one" in
${cases.filter((line) => !line.includes('" ') || !/"\S+ \S+"\)/.test(line)).join('\n')}
    esac
    case "$one $two" in
${cases.filter((line) => /"\S+ \S+"\)/.test(line)).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _keelson keelson`;
}

function fish(commands: readonly CompletedCommand[]): string {
  const lines = ['complete -c keelson -f -n __fish_use_subcommand'];
  const seen = new Set<string>();
  for (const { name, summary, options } of commands) {
    const [one = name, two] = name.split(' ');
    if (!seen.has(one)) {
      const said = two === undefined ? summary : one;
      lines.push(`complete -c keelson -n __fish_use_subcommand -a ${one} -d ${quoted(said)}`);
    }
    seen.add(one);
    if (two !== undefined) {
      lines.push(
        `complete -c keelson -n '__fish_seen_subcommand_from ${one}' -a ${two} -d ${quoted(summary)}`,
      );
    }
    const when =
      two === undefined
        ? `'__fish_seen_subcommand_from ${one}'`
        : `'__fish_seen_subcommand_from ${one}; and __fish_seen_subcommand_from ${two}'`;
    for (const [key, option] of Object.entries(options)) {
      const takes = option.type === 'flag' ? '' : ' -r';
      const among = option.type === 'choice' ? ` -a ${quoted(option.choices.join(' '))}` : '';
      lines.push(
        `complete -c keelson -n ${when} -l ${typedName(key)}${takes}${among} -d ${quoted(option.summary)}`,
      );
    }
  }
  for (const [key, option] of Object.entries(globalOptions)) {
    const takes = option.type === 'flag' ? '' : ' -r';
    lines.push(`complete -c keelson -l ${typedName(key)}${takes} -d ${quoted(option.summary)}`);
  }
  return lines.join('\n');
}

function names(options: Readonly<Record<string, Option>>): string[] {
  return Object.entries({ ...options, ...globalOptions }).map(([key, option]) =>
    option.type === 'flag' && option.default === true
      ? `--no-${typedName(key)}`
      : `--${typedName(key)}`,
  );
}

function first(name: string): string {
  return name.split(' ')[0] ?? name;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
