import { stringify } from 'yaml';
import type { Json, JsonObject } from '../json.ts';
import { checkDefinition } from './check-definition.ts';
import type { InputSource, PipelineDefinition, StepDefinition } from './definition.ts';

/** A definition as YAML that `parsePipeline` reads back. INVALID for what is none. */
export function formatPipeline(definition: PipelineDefinition): string {
  const { format: _, steps, description, ...rest } = checkDefinition(definition);
  const file = {
    ...rest,
    ...(description === '' ? {} : { description }),
    steps: Object.fromEntries(steps.map((each) => [each.name, fileForm(each)])),
  };
  return stringify(file, { aliasDuplicateObjects: false });
}

function fileForm(step: StepDefinition): JsonObject {
  const { name: _, run, inputs, dependsOn, retry, forEach, ...rest } = step;
  const ports = Object.entries(inputs).map(([name, { from, ...port }]) => {
    const sources = Array.isArray(from) ? from.map(sourceForm) : undefined;
    const plain = Object.keys(port).length === 0;
    if (sources !== undefined) return [name, plain ? sources : { sources, ...port }];
    const single = sourceForm(from as InputSource);
    if (plain) return [name, single];
    return [
      name,
      { ...(typeof single === 'string' ? { from: single } : (single as object)), ...port },
    ];
  });
  const all = [
    ...Object.values(inputs).flatMap(({ from }) => from),
    ...(forEach === undefined ? [] : [forEach.items]),
  ];
  const taken = new Set(all.flatMap((from) => ('step' in from ? [from.step] : [])));
  const after = dependsOn.filter((other) => !taken.has(other));
  return {
    ...runForm(run),
    ...(ports.length === 0 ? {} : { inputs: Object.fromEntries(ports) }),
    ...(after.length === 0 ? {} : { after }),
    retries: { ...retry },
    ...(rest as unknown as JsonObject),
    ...(forEach === undefined ? {} : { forEach: { ...forEach, items: sourceForm(forEach.items) } }),
  } as JsonObject;
}

function runForm(run: StepDefinition['run']): object {
  switch (run.type) {
    case 'function':
      return { function: true, ...(run.version === undefined ? {} : { version: run.version }) };
    case 'module':
      return { module: `${run.module}#${run.export}`, isolation: run.isolation };
    case 'command':
    case 'image': {
      const { type: _, ...rest } = run;
      return rest;
    }
  }
}

function sourceForm(source: InputSource): Json {
  if ('parameter' in source) return { parameter: source.parameter };
  if ('value' in source) return { value: source.value };
  return source.output === undefined ? source.step : { from: source.step, output: source.output };
}
