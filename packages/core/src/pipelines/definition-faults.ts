import { isKeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { assertSchema } from '../json-schema.ts';
import { compileExpression, type ExpressionOptions } from '../language/conditions.ts';
import { someOf, undeclaredFaults, undeclaredParameter } from './declared-parameters.ts';
import {
  type InputSource,
  type PipelineDefinition,
  type StepDefinition,
  type StepInput,
  type StepOutputPort,
  sourcesOf,
} from './definition.ts';
import { CronTimes } from './schedules/cron.ts';
import { schemaMisfit } from './schema-fit.ts';
import { unreachableFaults } from './unreachable-steps.ts';
import { variableFaults } from './variable-faults.ts';

/** The questions of fact that conditions may ask. */
const conditionFunctions: readonly string[] = ['registry'];

/** What is wrong with a definition whose names and references are sound: each with its place. */
export function definitionFaults(definition: PipelineDefinition): readonly string[] {
  const byName = new Map(definition.steps.map((step) => [step.name, step]));
  const faults = [
    ...definition.steps.flatMap((step, i) => {
      const at = `steps[${i}] "${step.name}"`;
      return [
        ...portSchemaFaults(step, at),
        ...inputFaults(step, at, byName, definition.parameters),
        ...conditionFaults(step, at, byName, definition.parameters),
        ...combinationFaults(step, at),
        ...cacheFaults(step, at, definition.parameters),
      ];
    }),
    ...startFaults(definition),
    ...variableFaults(definition),
  ];
  // Whether steps can be reached is a question for conditions that are some.
  return faults.length > 0 ? faults : unreachableFaults(definition);
}

function portSchemaFaults({ inputs, outputs = {} }: StepDefinition, at: string): readonly string[] {
  return Object.entries({ inputs, outputs }).flatMap(([ports, named]) =>
    Object.entries(named).flatMap(([name, { schema }]: [string, StepInput | StepOutputPort]) => {
      if (schema === undefined) return [];
      try {
        assertSchema(schema, `${at}.${ports}.${name}.schema`);
        return [];
      } catch (error) {
        if (!isKeelsonError(error, 'INVALID')) throw error;
        return [error.message.replace(/\.$/, '')];
      }
    }),
  );
}

function inputFaults(
  step: StepDefinition,
  at: string,
  byName: ReadonlyMap<string, StepDefinition>,
  parameters: JsonObject | undefined,
): readonly string[] {
  const ports: [string, StepInput][] = Object.entries(step.inputs);
  if (step.forEach !== undefined) {
    if (Object.hasOwn(step.inputs, step.forEach.as)) {
      return [`${at}.inputs.${step.forEach.as}: that is the name of the item`];
    }
    ports.push([`${step.forEach.as} (forEach)`, { from: step.forEach.items }]);
  }
  return ports.flatMap(([name, port]) =>
    sourcesOf(port).flatMap((source) =>
      sourceFaults(source, port, byName, parameters).map(
        (fault) => `${at}.inputs.${name}: ${fault}`,
      ),
    ),
  );
}

function sourceFaults(
  source: InputSource,
  port: StepInput,
  byName: ReadonlyMap<string, StepDefinition>,
  parameters: JsonObject | undefined,
): readonly string[] {
  if ('parameter' in source) {
    const { parameter } = source;
    const undeclared = undeclaredParameter(parameters, parameter);
    if (undeclared !== undefined) return [undeclared];
    const properties = (parameters?.['properties'] ?? {}) as Readonly<Record<string, JsonObject>>;
    const declared = Object.hasOwn(properties, parameter) ? properties[parameter] : undefined;
    return misfit(declared, port.schema);
  }
  if (!('step' in source)) return [];
  const from = byName.get(source.step);
  if (from === undefined || source.output === undefined || from.outputs === undefined) return [];
  const output = Object.hasOwn(from.outputs, source.output)
    ? from.outputs[source.output]
    : undefined;
  if (output === undefined) {
    return [
      `step "${source.step}" puts out no ${source.output}; it puts out ${Object.keys(from.outputs).join(', ') || 'nothing'}`,
    ];
  }
  return [...typeFaults(output, port, source.step), ...misfit(output.schema, port.schema)];
}

function typeFaults(output: StepOutputPort, port: StepInput, from: string): readonly string[] {
  if (port.type === undefined || port.type === output.type || port.type === 'artifact') return [];
  return [`it takes a ${port.type}, and step "${from}" puts out a ${output.type}`];
}

function misfit(given: JsonObject | undefined, asked: JsonObject | undefined): readonly string[] {
  const why = given === undefined || asked === undefined ? undefined : schemaMisfit(given, asked);
  return why === undefined ? [] : [`what is put out does not fit its schema: ${why}`];
}

function conditionFaults(
  step: StepDefinition,
  at: string,
  byName: ReadonlyMap<string, StepDefinition>,
  parameters: JsonObject | undefined,
): readonly string[] {
  const over = (names: readonly string[]): ExpressionOptions => {
    return { names, functions: conditionFunctions };
  };
  const looked = (paths: Paths): readonly string[] => [
    ...stepPathFaults(paths, step, byName),
    ...parameterPathFaults(paths, parameters),
  ];
  return [
    ...expressionFaults(
      step.when,
      `${at}.when`,
      over(['parameters', 'outputs', 'metrics']),
      looked,
    ),
    ...expressionFaults(
      step.repeat?.until,
      `${at}.repeat.until`,
      over(['output', 'metrics', 'iteration']),
    ),
    ...expressionFaults(
      step.forEach?.stopWhen,
      `${at}.forEach.stopWhen`,
      over(['output', 'metrics', 'index']),
    ),
  ];
}

function expressionFaults(
  source: string | undefined,
  at: string,
  options: ExpressionOptions,
  looked: (paths: Paths) => readonly string[] = () => [],
): readonly string[] {
  if (source === undefined) return [];
  try {
    const { paths } = compileExpression(source, options);
    return [...new Set(looked(paths))].map((fault) => `${at}: ${fault}`);
  } catch (error) {
    if (!isKeelsonError(error, 'SYNTAX', 'INVALID')) throw error;
    return [`${at}: ${error.message.replace(/\.$/, '')}`];
  }
}

type Paths = readonly (readonly string[])[];

function stepPathFaults(
  paths: Paths,
  step: StepDefinition,
  byName: ReadonlyMap<string, StepDefinition>,
): readonly string[] {
  return paths.flatMap(([root, name, field]) => {
    if ((root !== 'outputs' && root !== 'metrics') || name === undefined) return [];
    const other = byName.get(name);
    if (other === undefined) {
      return [`there is no step "${name}"; there are ${someOf([...byName.keys()])}`];
    }
    if (!step.dependsOn.includes(name)) {
      return [`it looks at step "${name}", which the step does not depend on; name it in after`];
    }
    const known = root === 'outputs' && field !== undefined ? other.outputs : undefined;
    // What a fan-out puts out is a list.
    if (known === undefined || other.forEach !== undefined) return [];
    if (Object.hasOwn(known, field as string)) return [];
    return [`step "${name}" puts out no ${field}; it puts out ${someOf(Object.keys(known))}`];
  });
}

function parameterPathFaults(paths: Paths, schema: JsonObject | undefined): readonly string[] {
  return paths.flatMap(([root, name]) =>
    root !== 'parameters' || name === undefined ? [] : (undeclaredParameter(schema, name) ?? []),
  );
}

function combinationFaults(step: StepDefinition, at: string): readonly string[] {
  const { run, forEach, repeat, distributed, executor, outputs } = step;
  const task = run.type === 'command' || run.type === 'image';
  const own = run.type === 'function' || (run.type === 'module' && run.isolation === 'inline');
  const faults: string[] = [];
  if (forEach !== undefined && repeat !== undefined) {
    faults.push('forEach and repeat do not go together; let each item be a pipeline that repeats');
  }
  if (distributed !== undefined && own) {
    faults.push(
      'a distributed step runs as processes: let it be a command, an image or a module with isolation process',
    );
  }
  if (executor !== undefined && run.type === 'function') {
    faults.push('a function of this process has no executor; let it be a module');
  }
  if (task && repeat !== undefined && Object.keys(outputs ?? {}).length === 0) {
    faults.push('a task that repeats needs an output for its condition to look at');
  }
  return faults.map((fault) => `${at}: ${fault}`);
}

/** A name that is none would leave what matters out of the key. */
function cacheFaults(
  { cache }: StepDefinition,
  at: string,
  parameters: JsonObject | undefined,
): readonly string[] {
  const names = (cache !== undefined && cache !== false && cache.parameters) || [];
  return names.flatMap((name) => {
    const fault = undeclaredParameter(parameters, name);
    return fault === undefined ? [] : [`${at}.cache.parameters: ${fault}`];
  });
}

function startFaults({
  schedule,
  triggers = [],
  parameters,
}: PipelineDefinition): readonly string[] {
  const faults: string[] = [];
  if (schedule !== undefined) {
    try {
      new CronTimes(schedule.cron, schedule.timeZone);
    } catch (error) {
      if (!isKeelsonError(error, 'INVALID')) throw error;
      faults.push(`schedule: ${error.message.replace(/\.$/, '')}`);
    }
    const undeclared = undeclaredFaults(parameters, schedule.parameters);
    faults.push(...undeclared.map((fault) => `schedule.${fault}`));
  }
  for (const [i, trigger] of triggers.entries()) {
    const options = { names: ['event'] };
    faults.push(...expressionFaults(trigger.when, `triggers[${i}].when`, options));
    const undeclared = undeclaredFaults(parameters, trigger.parameters);
    faults.push(...undeclared.map((fault) => `triggers[${i}].${fault}`));
    for (const [name, source] of Object.entries(trigger.parameters ?? {})) {
      faults.push(...expressionFaults(source, `triggers[${i}].parameters.${name}`, options));
    }
  }
  return faults;
}
