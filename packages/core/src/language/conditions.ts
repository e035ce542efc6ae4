import { type ASTNode, Environment, ParseError } from '@marcbachmann/cel-js';
import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';

/** What an expression may look at. */
export interface ExpressionOptions {
  /** The variables there are; any when left out. */
  readonly names?: readonly string[];
  /** Questions that it may ask, as calls with literal arguments. */
  readonly functions?: readonly string[];
}

/** A question that an expression asks: its answer is looked up before the expression is evaluated. */
export interface ExpressionCall {
  readonly name: string;
  readonly args: readonly Json[];
}

/** An expression that was checked. */
export interface CompiledExpression {
  readonly source: string;
  /** The variables that it looks at. */
  readonly names: readonly string[];
  /** For each variable, the paths below it that are written out, such as `['train', 'accuracy']`. */
  readonly paths: readonly (readonly string[])[];
  readonly calls: readonly ExpressionCall[];
  /**
   * Its truth over these variables and the answers to its calls, in their order. INVALID, saying why, when it
   * cannot be evaluated over them, is no boolean, or would take too long.
   */
  test(variables: JsonObject, answers?: readonly Json[]): boolean;
  /** Its value, as JSON. */
  value(variables: JsonObject, answers?: readonly Json[]): Json;
}

const limits = {
  maxAstNodes: 500,
  maxDepth: 40,
  maxListElements: 200,
  maxMapEntries: 100,
  maxCallArguments: 8,
};
const maxLength = 4096;
/** Steps of evaluation, by the estimate of {@link costOf}; some millions of them take a second. */
const maxCost = 100_000;
/** Values within values that are looked at to estimate that; a hundred thousand take some 20 ms. */
const maxValues = 100_000;

/** What takes time in proportion to what it is given, and no more. */
const methods = new Set([
  ...['size', 'startsWith', 'endsWith', 'contains', 'lowerAscii', 'upperAscii', 'trim'],
  ...['getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear'],
  ...['getHours', 'getMinutes', 'getSeconds', 'getMilliseconds'],
]);
const macros = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);
const functions = new Set([
  ...['size', 'has', 'int', 'double', 'string', 'bool', 'type', 'dyn', 'timestamp', 'duration'],
]);

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
  const shape = new Shape(source, new Set(asked));
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
    answered = new Map(shape.calls.map((call, i) => [keyOf(call), answers[i] ?? null]));
    try {
      return program(variables);
    } catch (cause) {
      throw new KeelsonError(
        'INVALID',
        `The condition ${quoted(source)} cannot be evaluated: ${firstLine(cause)}.`,
        { cause },
      );
    } finally {
      answered = new Map();
    }
  }

  return {
    source,
    names: [...shape.names],
    paths: shape.paths,
    calls: shape.calls,
    test(variables, answers = []) {
      const truth = evaluate(variables, answers);
      if (typeof truth === 'boolean') return truth;
      throw new KeelsonError(
        'INVALID',
        `The condition ${quoted(source)} is ${kindOf(truth)}, not true or false; compare it with something.`,
      );
    },
    value: (variables, answers = []) => asPlain(evaluate(variables, answers), source),
  };
}

/** What an expression is made of, as far as names, questions and cost go. */
class Shape {
  readonly names = new Set<string>();
  readonly paths: (readonly string[])[] = [];
  readonly calls: ExpressionCall[] = [];
  nodes = 0;
  /** Loops within loops. */
  depth = 0;
  sums = 0;
  comparisons = 0;
  longestList = 0;
  longestText = 0;
  readonly #source: string;
  readonly #asked: ReadonlySet<string>;

  constructor(source: string, asked: ReadonlySet<string>) {
    this.#source = source;
    this.#asked = asked;
  }

  visit(node: ASTNode, bound: ReadonlySet<string>, depth: number): void {
    this.nodes += 1;
    this.depth = Math.max(this.depth, depth);
    switch (node.op) {
      case 'value':
        if (typeof node.args === 'string') {
          this.longestText = Math.max(this.longestText, node.args.length);
        }
        return;
      case 'id':
        if (!bound.has(node.args)) this.#name(node.args, []);
        return;
      case '.':
      case '[]':
        this.#access(node, bound, depth);
        return;
      case 'call':
        this.#call(node.args[0], node.args[1], bound, depth);
        return;
      case 'rcall':
        this.#method(node.args, bound, depth);
        return;
      case 'in':
        // As a loop over the list.
        this.depth = Math.max(this.depth, depth + 1);
        break;
      case '+':
        this.sums += 1;
        break;
      case '==':
      case '!=':
        this.comparisons += 1;
        break;
      case 'list':
        this.longestList = Math.max(this.longestList, node.args.length);
        break;
      default:
    }
    for (const child of childrenOf(node.args)) this.visit(child, bound, depth);
  }

  #name(name: string, path: readonly string[]): void {
    this.names.add(name);
    this.paths.push([name, ...path]);
  }

  /** A chain of fields and literal keys, down to the variable it begins with. */
  #access(node: ASTNode, bound: ReadonlySet<string>, depth: number): void {
    const path: string[] = [];
    let at: ASTNode = node;
    for (; at.op === '.' || at.op === '[]'; at = at.args[0]) {
      this.nodes += 1;
      const key: string | ASTNode = at.args[1];
      if (typeof key === 'string') path.unshift(key);
      else if (key.op === 'value' && typeof key.args === 'string') path.unshift(key.args);
      else {
        path.length = 0;
        this.visit(key, bound, depth);
      }
    }
    if (at.op === 'id' && !bound.has(at.args)) this.#name(at.args, path);
    else this.visit(at, bound, depth);
  }

  #call(name: string, args: readonly ASTNode[], bound: ReadonlySet<string>, depth: number): void {
    if (this.#asked.has(name)) {
      const literal = args.map((each) => literalOf(each));
      if (literal.includes(undefined)) {
        throw this.#refusal(`${name}(…) takes written-out texts and numbers only`);
      }
      this.calls.push({ name, args: literal as readonly Json[] });
      return;
    }
    if (!functions.has(name)) {
      const known = [...this.#asked, ...functions].join(', ');
      throw this.#refusal(`there is no function ${name}; there are ${known}`);
    }
    for (const each of args) this.visit(each, bound, depth);
  }

  #method(
    [name, receiver, args]: readonly [string, ASTNode, readonly ASTNode[]],
    bound: ReadonlySet<string>,
    depth: number,
  ): void {
    this.visit(receiver, bound, depth);
    const [variable, ...body] = args;
    if (macros.has(name) && variable?.op === 'id') {
      const inner = new Set([...bound, variable.args]);
      for (const each of body) this.visit(each, inner, depth + 1);
      this.depth = Math.max(this.depth, depth + 1);
      return;
    }
    if (!methods.has(name)) {
      const why = name === 'matches' ? ': regular expressions can take for ever' : '';
      throw this.#refusal(`there is no .${name}(…)${why}; there are ${[...methods].join(', ')}`);
    }
    for (const each of args) this.visit(each, bound, depth);
  }

  #refusal(why: string): KeelsonError {
    return new KeelsonError('INVALID', `The condition ${quoted(this.#source)}: ${why}.`);
  }
}

/**
 * An upper estimate of the steps that evaluation takes: each node once for each turn of the loops around it,
 * more where long texts or deep values are compared or joined.
 */
function costOf(shape: Shape, given: readonly Json[]): number {
  const size = { longestList: shape.longestList, longestText: shape.longestText, values: 0 };
  const walks = shape.depth > 0 || shape.comparisons > 0;
  for (const value of given) {
    measure(value, size);
    // Whoever does not walk through it has nothing to fear of it.
    if (size.values > maxValues) return walks ? Number.POSITIVE_INFINITY : shape.nodes;
  }
  const growth = 1 + shape.sums;
  const turns = Math.max(1, size.longestList * growth) ** shape.depth;
  const texts = 1 + (size.longestText * growth) / 128;
  return turns * (shape.nodes * texts + (shape.comparisons * size.values) / 4);
}

function valueAt(variables: JsonObject, path: readonly string[]): Json {
  let at: Json = variables;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || Array.isArray(at)) break;
    if (!Object.hasOwn(at, key)) return null;
    at = (at as JsonObject)[key] ?? null;
  }
  return at;
}

interface Size {
  longestList: number;
  longestText: number;
  values: number;
}

function measure(value: Json, size: Size): void {
  const open: Json[] = [value];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    size.values += 1;
    if (size.values > maxValues) return;
    if (typeof at === 'string') size.longestText = Math.max(size.longestText, at.length);
    if (typeof at !== 'object' || at === null) continue;
    const parts = Array.isArray(at) ? at : Object.values(at);
    size.longestList = Math.max(size.longestList, parts.length);
    if (size.values + parts.length > maxValues) {
      size.values = maxValues + 1;
      return;
    }
    for (const part of parts) if (part !== undefined) open.push(part as Json);
  }
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
      const answer = (...args: readonly unknown[]): Json =>
        answered.get(keyOf({ name, args: args.map(toJson) })) ?? null;
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

function childrenOf(args: unknown): readonly ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return typeof args === 'object' && args !== null && 'op' in args ? [args as ASTNode] : [];
}

function literalOf(node: ASTNode): Json | undefined {
  if (node.op !== 'value') return undefined;
  const value = node.args;
  if (typeof value === 'bigint') return Number(value);
  const plain = typeof value === 'string' || typeof value === 'number';
  return plain || typeof value === 'boolean' ? value : undefined;
}

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

function quoted(source: string): string {
  return JSON.stringify(source.length > 120 ? `${source.slice(0, 117)}…` : source);
}
