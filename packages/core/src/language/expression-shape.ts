import type { ASTNode } from '@marcbachmann/cel-js';
import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';

/** A question that an expression asks: its answer is looked up before the expression is evaluated. */
export interface ExpressionCall {
  readonly name: string;
  readonly args: readonly Json[];
}

/** Steps of evaluation, by the estimate of {@link costOf}; some millions of them take a second. */
export const maxCost = 100_000;
/** Values within values that are looked at to estimate that; a hundred thousand take some 20 ms. */
export const maxValues = 100_000;

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

/** What an expression is made of, as far as names, questions and cost go. */
export class ExpressionShape {
  readonly names: Set<string> = new Set();
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
export function costOf(shape: ExpressionShape, given: readonly Json[]): number {
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

export function valueAt(variables: JsonObject, path: readonly string[]): Json {
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

/** For messages. */
export function quoted(source: string): string {
  return JSON.stringify(source.length > 120 ? `${source.slice(0, 117)}…` : source);
}
