import type { JsonObject } from '../json.ts';
import {
  type PipelineDefinition,
  type PortType,
  type StepDefinition,
  type StepInput,
  sourcesOf,
} from './definition.ts';
import { variableName } from './executors/task-names.ts';

/** What is a file to a task, and never a variable of its own. */
const fileTypes: ReadonlySet<PortType> = new Set(['dataset', 'model', 'artifact']);

/** Whether an executor runs it, which tells it what it is given by variables. */
function isTask({ run }: StepDefinition): boolean {
  return run.type === 'module' ? run.isolation !== 'inline' : run.type !== 'function';
}

/**
 * Inputs, outputs and parameters of tasks that would come out as one variable, both named with their place. What is
 * declared as a file has no variable with its value; what is not declared may have one.
 */
export function variableFaults(definition: PipelineDefinition): readonly string[] {
  const byName = new Map(definition.steps.map((step) => [step.name, step]));
  const faults = definition.steps.flatMap((step, i) => {
    if (!isTask(step)) return [];
    const at = `steps[${i}] "${step.name}"`;
    const outputs = Object.keys(step.outputs ?? {}).map(
      (name) => [`KEELSON_OUTPUT_${variableName(name)}_PATH`, name] as const,
    );
    return [
      ...collisions(inputVariables(step, byName)).map((fault) => `${at}.inputs: ${fault}`),
      ...collisions(outputs).map((fault) => `${at}.outputs: ${fault}`),
    ];
  });
  const declared = definition.parameters?.['properties'] as JsonObject | undefined;
  return [
    ...faults,
    ...parameterCollisions(definition, Object.keys(declared ?? {})).map(
      (fault) => `parameters: ${fault}`,
    ),
  ];
}

/** Names of parameters that tasks of the pipeline would get by one variable. */
export function parameterCollisions(
  { steps }: Pick<PipelineDefinition, 'steps'>,
  names: readonly string[],
): readonly string[] {
  // Most have few parameters, and no two that look alike.
  const variables = names.map((name) => [`KEELSON_PARAM_${variableName(name)}`, name] as const);
  const faults = collisions(variables);
  return faults.length > 0 && steps.some(isTask) ? faults : [];
}

/** A variable, and what it comes from. */
type Variable = readonly [variable: string, from: string];

function inputVariables(
  step: StepDefinition,
  byName: ReadonlyMap<string, StepDefinition>,
): readonly Variable[] {
  const ports: [string, StepInput][] = Object.entries(step.inputs);
  if (step.forEach !== undefined) ports.push([step.forEach.as, { from: step.forEach.items }]);
  if (step.repeat !== undefined && !Object.hasOwn(step.inputs, 'previous')) {
    ports.push(['previous', { from: { step: step.name } }]);
  }
  return ports.flatMap(([name, port]): readonly Variable[] => {
    const variable = `KEELSON_INPUT_${variableName(name)}`;
    const isItem = name === step.forEach?.as;
    const fields = isItem ? [] : fileFields(port, byName);
    return [
      [`${variable}_PATH`, name],
      ...(!isItem && isFile(port, byName) ? [] : [[variable, name] as const]),
      ...fields.map((field) => {
        return [`${variable}_${variableName(field)}_PATH`, `${name}.${field}`] as const;
      }),
    ];
  });
}

/** Whether it is declared as a file, by itself or by the one step that it comes from. */
function isFile(port: StepInput, byName: ReadonlyMap<string, StepDefinition>): boolean {
  const [source, ...more] = sourcesOf(port);
  if (port.type !== undefined && fileTypes.has(port.type)) return true;
  if (source === undefined || more.length > 0 || !('step' in source)) return false;
  const from = byName.get(source.step);
  if (source.output === undefined || from === undefined || from.forEach !== undefined) return false;
  const type = from.outputs?.[source.output]?.type;
  return type !== undefined && fileTypes.has(type);
}

/** The declared files of a step whose whole value is taken. */
function fileFields(
  port: StepInput,
  byName: ReadonlyMap<string, StepDefinition>,
): readonly string[] {
  const [source, ...more] = sourcesOf(port);
  if (source === undefined || more.length > 0 || !('step' in source)) return [];
  const from = byName.get(source.step);
  if (source.output !== undefined || from === undefined || from.forEach !== undefined) return [];
  return Object.entries(from.outputs ?? {}).flatMap(([field, { type }]) =>
    fileTypes.has(type) ? [field] : [],
  );
}

function collisions(variables: readonly Variable[]): readonly string[] {
  const first = new Map<string, string>();
  const told = new Set<string>();
  return variables.flatMap(([variable, from]) => {
    const other = first.get(variable);
    if (other === undefined) first.set(variable, from);
    const pair = JSON.stringify([other, from]);
    if (other === undefined || told.has(pair)) return [];
    told.add(pair);
    return [`"${other}" and "${from}" would both be the variable ${variable}; rename one`];
  });
}
