import { type ASTNode, Environment, ParseError } from '@marcbachmann/cel-js';
import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import {
  costOf,
  type ExpressionCall,
  ExpressionShape,
  maxCost,
  maxValues,
  quoted,
  valueAt,
} from './expression-shape.ts';

export type { ExpressionCall };

/** What an expression may look at. */
export interface ExpressionOptions {
  /** The variables there are; any when left out. */
  readonly names?: readonly string[];
  /** Questions that it may ask, as calls with literal arguments. */
  readonly functions?: readonly string[];
}

/** An expression that was checked. */
export interface CompiledExpression {
  readonly source: string;
  /** The variables that it looks at. */
  readonly names: readonly string[];
  /** For each variable, the paths below it that are written out, such as `['train', 'accuracy']`. */
  readonly paths: readonly (readonly string[])[];
  readonly calls: readonly ExpressionCall[];
  /** What must all be true for it to be: the operands of an outermost `&&`, or itself. */
  readonly conjuncts: readonly string[];
  /**
   * Its truth over these variables and the answers to its calls, in their order. INVALID, saying why, when it
   * cannot be evaluated over them, is no boolean, or would take too long.
   */
  test(variables: JsonObject, answers?: readonly Json[]): boolean;
  /** Its value, as JSON. */
  value(variables: JsonObject, answers?: readonly Json[]): Json;
  /**
   * The truth that it has whatever is not known yet: variables that are left out, `unknown` fields of those that are
   * there, and the answers to its calls. Undefined where these decide, or where it has none.
   */
  settled(variables: JsonObject, unknown?: readonly UnknownField[]): boolean | undefined;
}

/** A field of a variable. */
export type UnknownField = readonly [variable: string, field: string];

const limits = {
  maxAstNodes: 500,
  maxDepth: 40,
  maxListElements: 200,
  maxMapEntries: 100,
  maxCallArguments: 8,
};
const maxLength = 4096;

/** The answers for the evaluation that is going on; evaluation never pauses. */
let answered: ReadonlyMap<string, Json> = new Map();

/**
 * An expression of the Common Expression Language (cel.dev), checked. It has no effects, and its cost is
 * bounded by refusing what could take long: `matches`, bindings, deep nesting, and at evaluation lists and
 * texts that are too large for the loops over them. Numbers are JSON's: whole and fractional ones mix.
 * SYNTAX, with the position, for what is no expression; INVALID for unknown names and what is refused.
 */
export function compileExpression(
  source: string,
  options: ExpressionOptions = {},
): CompiledExpression {
  if (typeof source !== 'string' || source.length > maxLength) {
    const what = typeof source === 'string' ? `${source.length} characters` : typeof source;
    throw new KeelsonError(
      'INVALID',
      `A condition is text of at most ${maxLength} characters, not ${what}.`,
    );
  }
  const asked = options.functions ?? [];
  const environment = environmentOf(asked);
  let program: ReturnType<Environment['parse']>;
  try {
    program = environment.parse(source);
  } catch (cause) {
    throw syntaxError(source, cause);
  }
  const shape = new ExpressionShape(source, new Set(asked));
  shape.visit(program.ast, new Set(), 0);
  const unknown = [...shape.names].filter(
    (name) => options.names !== undefined && !options.names.includes(name),
  );
  if (unknown.length > 0) {
    throw new KeelsonError(
      'INVALID',
      `The condition ${quoted(source)} looks at ${unknown.join(', ')}, which is not there; there are ${options.names?.join(', ')}${/[\w\]]-\w/.test(source) ? ' (a name with a hyphen is written in brackets: outputs["a-b"])' : ''}.`,
      { details: { unknown } },
    );
  }

  function evaluate(variables: JsonObject, answers: readonly Json[]): unknown {
    const looked = shape.paths.map((path) => valueAt(variables, path));
    const cost = costOf(shape, [...looked, ...answers]);
    if (cost > maxCost) {
      throw new KeelsonError(
        'INVALID',
        `The condition ${quoted(source)} would take too long over what it is given (${Number.isFinite(cost) ? `an estimated ${Math.round(cost)} steps, ${maxCost} are allowed` : `more than ${maxValues} values`}); loop over less.`,
        { details: { cost: Number.isFinite(cost) ? cost : 'unbounded', maxCost } },
      );
    }
    try {
      return run(
        variables,
        shape.calls.map((_, i) => answers[i] ?? null),
      );
    } catch (cause) {
      throw new KeelsonError(
        'INVALID',
        `The condition ${quoted(source)} cannot be evaluated: ${firstLine(cause)}.`,
        { cause },
      );
    }
  }

  function run(variables: JsonObject, answers: readonly (Json | undefined)[]): unknown {
    const known = shape.calls.flatMap((call, i) => {
      const answer = answers[i];
      return answer === undefined ? [] : [[keyOf(call), answer] as const];
    });
    answered = new Map(known);
    try {
      return program(variables);
    } finally {
      answered = new Map();
    }
  }

  return {
    source,
    names: [...shape.names],
    paths: shape.paths,
    calls: shape.calls,
    conjuncts: conjunctsOf(program.ast, source),
    test(variables, answers = []) {
      const truth = evaluate(variables, answers);
      if (typeof truth === 'boolean') return truth;
      throw new KeelsonError(
        'INVALID',
        `The condition ${quoted(source)} is ${kindOf(truth)}, not true or false; compare it with something.`,
      );
    },
    value: (variables, answers = []) => asPlain(evaluate(variables, answers), source),
    settled(variables, unknown = []) {
      const looked = shape.paths.map((path) => valueAt(variables, path));
      if (costOf(shape, looked) > maxCost) return undefined;
      try {
        // What is not known throws, and && and || take that for what could be either.
        const truth = run(withUnknown(variables, unknown), []);
        return typeof truth === 'boolean' ? truth : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

/** By its text: an outermost `&&` has nothing beside it, outside of brackets, that binds less. */
function conjunctsOf({ op }: ASTNode, source: string): readonly string[] {
  // Raw and triple quotes and comments are not worth reading.
  if (op !== '&&' || /'''|"""|\/\/|\b[rRbB]+['"]/.test(source)) return [source];
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (const { 0: token, index } of source.matchAll(
    /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[([{]|[)\]}]|&&/g,
  )) {
    if (/^[([{]$/.test(token)) depth += 1;
    if (/^[)\]}]$/.test(token)) depth -= 1;
    if (token !== '&&' || depth > 0) continue;
    parts.push(source.slice(from, index).trim());
    from = index + token.length;
  }
  return [...parts, source.slice(from).trim()];
}

function withUnknown(variables: JsonObject, unknown: readonly UnknownField[]): JsonObject {
  const guarded = new Map<string, object>();
  for (const [variable, field] of unknown) {
    if (!Object.hasOwn(variables, variable)) continue;
    const fields = guarded.get(variable) ?? { ...(variables[variable] as JsonObject) };
    guarded.set(variable, fields);
    Object.defineProperty(fields, field, { get: notKnown, enumerable: true });
  }
  return { ...variables, ...Object.fromEntries(guarded) } as JsonObject;
}

function notKnown(): never {
  throw new Error('This is not known yet.');
}

const environments = new Map<string, Environment>();

function environmentOf(asked: readonly string[]): Environment {
  const key = asked.join(' ');
  let environment = environments.get(key);
  if (environment === undefined) {
    environment = new Environment({ unlistedVariablesAreDyn: true, limits });
    // JSON has one kind of number, CEL two.
    for (const [operator, apply] of Object.entries(arithmetic)) {
      environment.registerOperator(`double ${operator} int`, apply);
      environment.registerOperator(`int ${operator} double`, apply);
    }
    environment.registerOperator('double % double', arithmetic['%']);
    for (const name of asked) {
      const answer = (...args: readonly unknown[]): Json => {
        const found = answered.get(keyOf({ name, args: args.map(toJson) }));
        return found === undefined ? notKnown() : found;
      };
      for (let count = 0; count <= 4; count += 1) {
        const types = Array.from({ length: count }, () => 'dyn').join(', ');
        environment.registerFunction(`${name}(${types}): dyn`, answer);
      }
    }
    environments.set(key, environment);
  }
  return environment;
}

type Operands = number | bigint;

const arithmetic = {
  '+': (a: Operands, b: Operands): number => Number(a) + Number(b),
  '-': (a: Operands, b: Operands): number => Number(a) - Number(b),
  '*': (a: Operands, b: Operands): number => Number(a) * Number(b),
  '/': (a: Operands, b: Operands): number => Number(a) / Number(b),
  '%': (a: Operands, b: Operands): number => Number(a) % Number(b),
} as const;

function toJson(value: unknown): Json {
  return (typeof value === 'bigint' ? Number(value) : value) as Json;
}

function keyOf({ name, args }: ExpressionCall): string {
  return JSON.stringify([name, ...args]);
}

function asPlain(value: unknown, source: string): Json {
  if (typeof value === 'bigint') return Number(value);
  if (value === null || typeof value !== 'object') {
    if (value !== undefined && typeof value !== 'function') return value as Json;
  } else if (Array.isArray(value)) {
    return value.map((each) => asPlain(each, source));
  } else if (value instanceof Map) {
    return Object.fromEntries(
      [...value].map(([key, each]) => [String(key), asPlain(each, source)]),
    );
  } else if ([Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, asPlain(each, source)]),
    );
  }
  throw new KeelsonError('INVALID', `The expression ${quoted(source)} is no JSON value.`);
}

function syntaxError(source: string, cause: unknown): KeelsonError {
  const start =
    cause instanceof ParseError
      ? ((cause as { range?: { start?: number } }).range?.start ?? undefined)
      : undefined;
  const where = start === undefined ? '' : ` at position ${start + 1}`;
  return new KeelsonError(
    'SYNTAX',
    `The condition ${quoted(source)} is no CEL expression: ${firstLine(cause)}${where}.`,
    { cause, details: { source, ...(start === undefined ? {} : { position: start + 1 }) } },
  );
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'bigint' ? 'a number' : `a ${typeof value}`;
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return (message.split('\n')[0] ?? '').slice(0, 300);
}
