import { isKeelsonError } from '../errors.ts';
import { canonicalJson, type Json, type JsonObject } from '../json.ts';
import {
  type CompiledExpression,
  compileExpression,
  type UnknownField,
} from '../language/conditions.ts';
import type { PipelineDefinition, StepDefinition } from './definition.ts';
import { topologicalOrder } from './step-graph.ts';

/** Ways that parameters can be which are tried out; beyond it nothing is told. */
const maxWays = 256;

/** Why a step can never run, and whether it is always skipped, so that it has no value for others either. */
interface Never {
  readonly why: string;
  readonly skipped: boolean;
}

/**
 * The steps that can never run, each with its place and why: those whose condition is true for no parameters that
 * the schema allows (where it says `const`, `enum` or `boolean`), whatever the steps before put out, and those that
 * take something of such a step. Sound, not complete: what hangs on values of steps, on the registry or on numbers
 * and texts of parameters is not told. The definition's names, references and conditions are sound.
 */
export function unreachableFaults(definition: PipelineDefinition): readonly string[] {
  const never = new Map<string, Never>();
  const byName = new Map(definition.steps.map((step) => [step.name, step]));
  for (const name of topologicalOrder(definition.steps)) {
    const step = byName.get(name);
    const found = step && neverRuns(step, definition.parameters, never);
    if (found !== undefined) never.set(name, found);
  }
  return definition.steps.flatMap(({ name }, i) => {
    const found = never.get(name);
    return found === undefined ? [] : [`steps[${i}] "${name}"${found.why}`];
  });
}

function neverRuns(
  step: StepDefinition,
  parameters: JsonObject | undefined,
  before: ReadonlyMap<string, Never>,
): Never | undefined {
  const gone = step.dependsOn.find((name) => before.get(name)?.skipped === true);
  if (gone !== undefined && step.join !== 'ended') {
    const why = `: it can never run either, since it depends on "${gone}"; with join 'ended' it would`;
    return { why, skipped: true };
  }
  if (step.when === undefined) return undefined;
  const condition = compiled(step.when);
  const { ways, unknown } = waysOf(condition, parameters);
  const truths = ways.map((way) => condition.settled(way, unknown));
  const conjuncts = condition.conjuncts.map(compiled);
  const none = ways.every((way) => conjuncts.some((each) => isNever(each, way, unknown)));
  if (!none) return undefined;
  // One that cannot be evaluated fails the step.
  const skipped = truths.every((truth) => truth === false) || step.onFailure !== 'continue';
  const constant = condition.names.length === 0;
  const why = constant ? faultOf(condition) : undefined;
  const among = constant ? '' : ' for any parameters that the schema allows';
  return {
    why: `.when: it is never true${among}, so that the step can never run: ${why ?? step.when}`,
    skipped,
  };
}

function compiled(source: string): CompiledExpression {
  return compileExpression(source, { functions: ['registry'] });
}

/** Whether it is not true with these parameters, whatever is unknown; what has no truth where nothing is, has none. */
function isNever(
  condition: CompiledExpression,
  way: JsonObject,
  unknown: readonly UnknownField[],
): boolean {
  const truth = condition.settled(way, unknown);
  if (truth !== undefined) return !truth;
  const { calls, paths } = condition;
  const isKnown = ([root, field]: readonly string[]): boolean =>
    root === 'parameters' &&
    way['parameters'] !== undefined &&
    field !== undefined &&
    unknown.every(([, name]) => name !== field);
  return calls.length === 0 && paths.every(isKnown);
}

/** Why a condition over nothing has no truth. */
function faultOf(condition: CompiledExpression): string | undefined {
  try {
    condition.test({});
    return undefined;
  } catch (error) {
    if (!isKeelsonError(error, 'INVALID')) throw error;
    return error.message.replace(/\.$/, '');
  }
}

/** The parameters that a condition looks at, each way that they can be, and those of which that is not said. */
interface Ways {
  readonly ways: readonly JsonObject[];
  readonly unknown: readonly UnknownField[];
}

function waysOf({ paths }: CompiledExpression, schema: JsonObject | undefined): Ways {
  const looked = paths.filter(([root]) => root === 'parameters').map(([, name]) => name);
  // Where it looks at all of them together, nothing is known.
  if (looked.length === 0 || looked.includes(undefined)) return { ways: [{}], unknown: [] };
  const unknown: UnknownField[] = [];
  let ways: readonly JsonObject[] = [{}];
  for (const name of new Set(looked as readonly string[])) {
    const values = valuesOf(name, schema);
    if (values === undefined || ways.length * values.length > maxWays) {
      unknown.push(['parameters', name]);
    } else {
      ways = ways.flatMap((way) =>
        values.map((value) => (value === undefined ? way : { ...way, [name]: value })),
      );
    }
  }
  return { ways: ways.map((parameters) => ({ parameters })), unknown };
}

/** All that a parameter can be, undefined among them where it can be left out; undefined where that is not said. */
function valuesOf(
  name: string,
  schema: JsonObject | undefined,
): readonly (Json | undefined)[] | undefined {
  const declared = (schema?.['properties'] as JsonObject | undefined)?.[name];
  if (typeof declared !== 'object' || declared === null || Array.isArray(declared))
    return undefined;
  const values = valuesIn(declared as JsonObject);
  if (values === undefined) return undefined;
  const required = schema?.['required'];
  const given = Array.isArray(required) && required.includes(name);
  const filled = Object.hasOwn(declared, 'default');
  const distinct = new Map(values.map((value) => [canonicalJson(value), value]));
  return [...distinct.values(), ...(given || filled ? [] : [undefined])];
}

function valuesIn(schema: JsonObject): readonly Json[] | undefined {
  const { const: only, enum: some, type, nullable } = schema;
  if (only !== undefined) return [only];
  if (Array.isArray(some)) return some as readonly Json[];
  return type === 'boolean' && nullable !== true ? [true, false] : undefined;
}
