import { type ChoiceOption, type Option, UsageError, type ValueOption } from './command.ts';
import { readDuration } from './formats.ts';
import { nearest } from './nearest.ts';
import { typedName } from './option-names.ts';

/** What was given for one option, as its type has it. UsageError for what is no value of it. */
export function readOption(
  key: string,
  option: Option,
  given: readonly (string | boolean)[],
  { now, required }: { readonly now: number; readonly required: boolean },
): unknown {
  const name = `--${typedName(key)}`;
  if (option.type === 'flag') return given.at(-1) ?? option.default ?? false;
  const texts = given as readonly string[];
  if (option.many === true) return texts.map((text) => readOne(name, option, text, now));
  if (texts.length > 1)
    throw new UsageError(`${name} is given ${texts.length} times; give it once.`);
  const text = texts[0];
  if (text !== undefined) return readOne(name, option, text, now);
  if (required && option.required === true) {
    throw new UsageError(`${name} is missing: ${option.summary}.`);
  }
  return option.default;
}

function readOne(
  name: string,
  option: ValueOption | ChoiceOption,
  text: string,
  now: number,
): string | number {
  if (option.type === 'choice') return choice(name, option, text);
  if (option.type === 'text') return text;
  const value = figure(option.type, text, now);
  if (value === undefined || Number.isNaN(value)) {
    throw new UsageError(`${name} takes ${kinds[option.type]}, not "${text}".`);
  }
  const { min, max } = option;
  if ((min === undefined || value >= min) && (max === undefined || value <= max)) return value;
  const bounds = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ].join(' and ');
  throw new UsageError(`${name} must be ${bounds}, not ${text}.`);
}

const kinds = {
  integer: 'an integer, such as 10',
  number: 'a number, such as 0.5',
  duration: 'a duration, such as 250ms, 30s, 5m, 24h or 7d',
  time: 'a time (2026-11-28T14:00:00Z) or how long ago (24h)',
} as const;

function figure(type: keyof typeof kinds, text: string, now: number): number | undefined {
  if (type === 'duration') return readDuration(text);
  if (type === 'time') {
    const ago = readDuration(text);
    if (ago !== undefined) return now - ago;
    return /^\d{4}-\d\d/.test(text) ? Date.parse(text) : undefined;
  }
  if (text.trim() === '') return undefined;
  const value = Number(text);
  return type === 'integer' && !Number.isSafeInteger(value) ? undefined : value;
}

function choice(name: string, { choices }: ChoiceOption, text: string): string {
  const found = choices.find((one) => one.toLowerCase() === text.toLowerCase());
  if (found !== undefined) return found;
  const near = nearest(text, choices);
  const hint = near === undefined ? '' : ` Did you mean ${near}?`;
  throw new UsageError(`${name} is one of ${choices.join(', ')}, not "${text}".${hint}`);
}
