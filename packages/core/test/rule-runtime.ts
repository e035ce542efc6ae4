import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  LoadedModel,
  ModelRuntime,
  ModelSignature,
  Tensor,
} from '../src/contracts/model-runtime.ts';

/** What a {@link RuleRuntime} reads out of `model.json`. */
export interface Rule {
  /** P(yes) = 1 / (1 + exp(−(bias + a·row.a + b·row.b))). */
  readonly a?: number;
  readonly b?: number;
  readonly bias?: number;
  /** How it misbehaves; it does not when left out. */
  readonly fault?:
    | 'hangs'
    | 'hangs on load'
    | 'throws'
    | 'throws what cannot be kept'
    | 'throws on load'
    | 'hangs on unload'
    | 'too few rows'
    | 'another type'
    | 'no such output'
    | 'nothing'
    | 'NaN'
    | 'fails on negative';
  /** Waits so long before each answer. */
  readonly delayMs?: number;
}

/** The signature of such models. */
export const ruleSignature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['a', 'b'] }],
  outputs: [
    { name: 'label', datatype: 'BYTES', shape: [-1] },
    { name: 'probabilities', datatype: 'FP32', shape: [-1, 2], columns: ['no', 'yes'] },
  ],
} as const satisfies ModelSignature;

const never = new Promise<never>(() => undefined);

/** A real, small runtime: models are a rule in a JSON file, which it reads from the directory it is given. */
export class RuleRuntime implements ModelRuntime {
  readonly name = 'rule';
  readonly isolation: ModelRuntime['isolation'];
  loaded = 0;
  unloaded = 0;
  /** Requests that were under way at the most at one time. */
  mostUnderWay = 0;
  requests = 0;
  readonly directories: string[] = [];

  constructor(isolation: ModelRuntime['isolation'] = 'none') {
    this.isolation = isolation;
  }

  async load(source: { readonly directory: string } | object): Promise<LoadedModel> {
    const { directory } = source as { readonly directory: string };
    this.directories.push(directory);
    const rule = JSON.parse(await readFile(join(directory, 'model.json'), 'utf8')) as Rule;
    if (rule.fault === 'hangs on load') return await never;
    if (rule.fault === 'throws on load') throw new Error('weights are missing');
    this.loaded += 1;
    let underWay = 0;
    return {
      predict: async ({ inputs }) => {
        underWay += 1;
        this.requests += 1;
        this.mostUnderWay = Math.max(this.mostUnderWay, underWay);
        try {
          await new Promise((resolve) => setTimeout(resolve, rule.delayMs ?? 0));
          return await answerOf(rule, inputs);
        } finally {
          underWay -= 1;
        }
      },
      health: async () => ({ ok: true }),
      unload: async () => {
        this.unloaded += 1;
        if (rule.fault === 'hangs on unload') await never;
      },
    };
  }
}

async function answerOf(rule: Rule, inputs: readonly Tensor[]): Promise<readonly Tensor[]> {
  const { fault, a = 0, b = 0, bias = 0 } = rule;
  if (fault === 'hangs') return await never;
  if (fault === 'throws') throw new TypeError('cannot read weights of undefined');
  if (fault === 'throws what cannot be kept') {
    throw new Error(`\u0000\ud800 bearer ${'x'.repeat(1_000_000)}`);
  }
  if (fault === 'nothing') return undefined as never;
  const [x] = inputs as [Tensor];
  const values = x.data as Float64Array;
  if (fault === 'fails on negative' && values.some((value) => value < 0)) {
    throw new RangeError('negative input');
  }
  const rows = (x.shape[0] as number) - (fault === 'too few rows' ? 1 : 0);
  const probabilities = new Float32Array(2 * rows);
  const labels: string[] = [];
  for (let row = 0; row < rows; row += 1) {
    const sum = bias + a * (values[2 * row] as number) + b * (values[2 * row + 1] as number);
    const yes = fault === 'NaN' ? Number.NaN : 1 / (1 + Math.exp(-sum));
    probabilities.set([1 - yes, yes], 2 * row);
    labels.push(yes >= 0.5 ? 'yes' : 'no');
  }
  const label: Tensor = { name: 'label', datatype: 'BYTES', shape: [rows], data: labels };
  if (fault === 'no such output') return [label];
  return [
    fault === 'another type' ? { ...label, datatype: 'INT32', data: new Int32Array(rows) } : label,
    { name: 'probabilities', datatype: 'FP32', shape: [rows, 2], data: probabilities },
  ];
}
