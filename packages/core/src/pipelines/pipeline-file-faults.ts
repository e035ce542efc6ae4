import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** What people write in one place and mean for another, by where it stands. */
const meant: Readonly<Record<string, string>> = {
  run: 'a step says what it runs by module, command, image or function',
  dependsOn: 'steps whose values it does not take are named in after',
  needs: 'steps whose values it does not take are named in after',
  if: 'a condition is named when',
  condition: 'a condition is named when',
  timeout: 'times are in milliseconds: timeoutMs',
  delay: 'times are in milliseconds: delayMs',
  retry: 'it is named retries',
  export: 'a module is named with its export: ./steps/train.ts#train',
  environment: 'variables are named env',
  memory: 'sizes are in bytes: memoryBytes',
  cpu: 'it is named cpuCores',
  gpu: 'it is named gpuCount',
  cron: 'it belongs into schedule',
  params: 'it is named parameters',
};

/** What is wrong with one place of a pipeline's text, in words, with what belongs there. */
export function faultText(issue: Issue): string {
  const at = String(issue.path.at(-1) ?? '');
  if (issue.code === 'unrecognized_keys') {
    const hints = issue.keys.flatMap((key) => (Object.hasOwn(meant, key) ? [meant[key]] : []));
    const names = issue.keys.map((key) => JSON.stringify(key)).join(', ');
    const hint = hints.length === 0 ? '' : ` (${[...new Set(hints)].join('; ')})`;
    return `there is no ${names}${hint}`;
  }
  if (issue.code === 'invalid_type') {
    if (at === 'steps' && issue.path.length === 1) {
      return 'steps are written by name, as "load: { command: […] }", not as a list';
    }
    if (at === 'command') return 'a command is a list of texts, such as [python3, fit.py]';
    if (at === 'version') return 'a text such as "1.0.0" belongs here';
    return `${kinds[issue.expected] ?? issue.expected} belongs here`;
  }
  if (issue.code === 'invalid_union') {
    const [parent, where] = issue.path.slice(-2).map(String);
    const inner = closest(issue.errors);
    if (issue.path.at(-2) === 'outputs' || parent === 'outputs') {
      return `an output is its type (dataset, model, metrics, parameter or artifact), or { type, schema, optional }${inner}`;
    }
    if (parent === 'inputs' && where !== undefined) {
      return `an input is a step, { from, output }, { parameter }, { value } or a list of them${inner}`;
    }
    return `this is none of what may stand here${inner}`;
  }
  return issue.message;
}

const kinds: Readonly<Record<string, string>> = {
  record: 'a map of names',
  object: 'a map of names',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
};

/** Of the ways to read it, what is wrong with the one that fits all but in its names. */
function closest(errors: readonly (readonly Issue[])[]): string {
  const near = errors.find((issues) => issues.every(({ code }) => code === 'unrecognized_keys'));
  return near === undefined || near.length === 0 ? '' : `: ${near.map(faultText).join('; ')}`;
}
