import { canonicalJson, type Json, type JsonObject } from '../../json.ts';

/** What a key is made of, by name. */
export interface KeyParts {
  /** What the step is, besides its code: what it runs, its outputs and environment. */
  readonly definition: string;
  /** What is run, as people know it. */
  readonly runs: string;
  /** The version or the digest of the code, the image's digest. */
  readonly code: string;
  /** Input → digest of its value. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly parameters: JsonObject;
}

/**
 * Why a step is computed, beside the nearest result there is: the parts that differ, in words. With no earlier
 * result, that there is none.
 */
export function explainMiss(parts: KeyParts, earlier: KeyParts | undefined): string {
  if (earlier === undefined) return 'it was never computed before';
  const changes = differences(parts, earlier);
  return changes.length === 0 ? 'the earlier result is gone' : changes.slice(0, 10).join('; ');
}

function differences(now: KeyParts, then: KeyParts): readonly string[] {
  return [
    ...(now.code === then.code ? [] : [`the code of ${now.runs} changed`]),
    ...(now.definition === then.definition ? [] : ['the definition of the step changed']),
    ...changesOf(now.inputs, then.inputs).map((name) => inputText(name, now, then)),
    ...changesOf(now.parameters, then.parameters).map(
      (name) =>
        `parameter \`${name}\` changed from ${shown(then.parameters[name])} to ${shown(now.parameters[name])}`,
    ),
  ];
}

function inputText(name: string, now: KeyParts, then: KeyParts): string {
  if (!Object.hasOwn(then.inputs, name)) return `input \`${name}\` is new`;
  return Object.hasOwn(now.inputs, name)
    ? `input \`${name}\` changed`
    : `input \`${name}\` is gone`;
}

function changesOf(
  now: Readonly<Record<string, unknown>>,
  then: Readonly<Record<string, unknown>>,
) {
  const names = [...new Set([...Object.keys(now), ...Object.keys(then)])];
  return names.filter((name) => textOf(now[name]) !== textOf(then[name]));
}

function textOf(value: unknown): string {
  return value === undefined ? '' : canonicalJson(value as Json);
}

function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : textOf(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
