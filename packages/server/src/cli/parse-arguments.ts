import { parseArgs } from 'node:util';
import { type Command, type Option, type Positional, UsageError } from './command.ts';
import { globalOptions } from './global-options.ts';
import { nearest } from './nearest.ts';
import { typedName } from './option-names.ts';
import { readOption } from './read-option.ts';

/** What was typed, as a command gets it. */
export interface ParsedArguments {
  readonly options: Readonly<Record<string, unknown>>;
  readonly positionals: Readonly<Record<string, unknown>>;
  readonly globals: Readonly<Record<string, unknown>>;
}

type Options = Readonly<Record<string, Option>>;

interface Token {
  readonly kind: 'option' | 'positional' | 'option-terminator';
  readonly index: number;
  readonly name?: string;
  readonly rawName?: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

/**
 * Reads what is typed behind a command's name. UsageError, with the nearest name, for options that it has not, for
 * values that are none, for positionals that are missing or too many; not for what is missing when help is asked for.
 */
export function parseArguments(
  command: Pick<Command, 'options' | 'positionals'>,
  args: readonly string[],
  now: number,
): ParsedArguments {
  const own = command.options ?? {};
  const all: Options = { ...globalOptions, ...own };
  const places = Object.entries(command.positionals ?? {});
  const [mine, verbatim] = splitVerbatim(all, places, args);
  const given = new Map<string, (string | boolean)[]>();
  const typed: string[] = [];
  for (const token of tokensOf(all, mine)) {
    if (token.kind === 'positional') typed.push(token.value ?? '');
    if (token.kind !== 'option') continue;
    const [key, value] = optionOf(all, token);
    given.set(key, [...(given.get(key) ?? []), value]);
  }
  const values = (options: Options, required: boolean): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(options).map(([key, option]) => [
        key,
        readOption(key, option, given.get(key) ?? [], { now, required }),
      ]),
    );
  const globals = values(globalOptions, true);
  const strict = globals['help'] !== true;
  return {
    globals,
    options: values(own, strict),
    positionals: placed(places, typed, verbatim, strict),
  };
}

/** Parts what is for the command from what is for the program that it starts. */
function splitVerbatim(
  options: Options,
  places: readonly (readonly [string, Positional])[],
  args: readonly string[],
): readonly [readonly string[], readonly string[]] {
  if (places.at(-1)?.[1].verbatim !== true) return [args, []];
  const before = places.length - 1;
  const ends = tokensOf(options, args).filter(({ kind }) => kind === 'positional')[before - 1];
  if (ends === undefined) return [args, []];
  const rest = args.slice(ends.index + 1);
  return [args.slice(0, ends.index + 1), rest[0] === '--' ? rest.slice(1) : rest];
}

function tokensOf(options: Options, args: readonly string[]): readonly Token[] {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(options).map(([key, { type, short }]) => [
        typedName(key),
        {
          type: type === 'flag' ? ('boolean' as const) : ('string' as const),
          ...(short === undefined ? {} : { short }),
        },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  return tokens as readonly Token[];
}

function optionOf(options: Options, token: Token): readonly [string, string | boolean] {
  const { name = '', rawName = '', value } = token;
  const key = keyOf(options, name);
  const option = key === undefined ? undefined : options[key];
  if (key !== undefined && option !== undefined) {
    if (option.type === 'flag') {
      if (value === undefined) return [key, true];
      throw new UsageError(`${rawName} takes no value.`);
    }
    if (value !== undefined) return [key, value];
    throw new UsageError(`${rawName} takes a value: ${example(key, option)}.`);
  }
  const positive = name.startsWith('no-') ? keyOf(options, name.slice(3)) : undefined;
  if (positive !== undefined && options[positive]?.type === 'flag' && value === undefined) {
    return [positive, false];
  }
  const near = rawName.startsWith('--')
    ? nearest(name, Object.keys(options).map(typedName))
    : undefined;
  throw new UsageError(
    `There is no option ${rawName}.${near === undefined ? '' : ` Did you mean --${near}?`}`,
  );
}

function keyOf(options: Options, typed: string): string | undefined {
  return Object.keys(options).find((key) => typedName(key) === typed);
}

function placed(
  places: readonly (readonly [string, Positional])[],
  typed: readonly string[],
  verbatim: readonly string[],
  strict: boolean,
): Readonly<Record<string, unknown>> {
  const left = [...typed];
  const positionals: Record<string, unknown> = {};
  for (const [name, place] of places) {
    if (place.verbatim === true) positionals[name] = verbatim;
    else if (place.many === true) positionals[name] = left.splice(0);
    else positionals[name] = left.shift();
    const missing =
      place.many === true
        ? (positionals[name] as []).length === 0
        : positionals[name] === undefined;
    if (strict && missing && place.optional !== true) {
      throw new UsageError(`<${name}> is missing: ${lowerFirst(place.summary)}.`);
    }
  }
  if (left.length === 0 || !strict) return positionals;
  const takes = places.length === 0 ? 'nothing' : places.map(([name]) => `<${name}>`).join(' ');
  throw new UsageError(`"${left[0]}" is one too many: this command takes ${takes}.`);
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

function example(key: string, option: Option): string {
  const name = `--${typedName(key)}`;
  if (option.type === 'choice') return option.choices.map((one) => `${name} ${one}`).join(', ');
  const placeholder = 'placeholder' in option ? option.placeholder : undefined;
  return `${name} <${placeholder ?? option.type}>`;
}
