import type { Tensor, TensorSpec } from '@keelson/core';
import { elementCount, holdsDatatype, numericArray } from '../protocol/datatypes.ts';
import type { Finding, FindingName } from './finding.ts';

/** Holds a model's outputs against its signature; what it finds goes into `found`. */
export type OutputCheck = (outputs: readonly Tensor[], rowCount: number, found: Finding[]) => void;

/** The bounds that values of an output may have. */
export type OutputRange = { readonly min?: number; readonly max?: number };

/**
 * Compiles the check of outputs: datatype, shape, as many rows as were asked for where the signature's first size is
 * free, finite numbers, and the ranges that are given by the outputs' names.
 */
export function compileOutputCheck(
  specs: readonly TensorSpec[],
  ranges: Readonly<Record<string, OutputRange>>,
): OutputCheck {
  const checks = specs.map((spec) => {
    const range = Object.hasOwn(ranges, spec.name) ? ranges[spec.name] : undefined;
    return { spec, holder: holderOf(spec), values: valueChecks(spec, range) };
  });
  return (outputs, rowCount, found) => {
    for (let i = 0; i < checks.length; i += 1) {
      const { spec, holder, values } = checks[i] as (typeof checks)[number];
      const tensor =
        outputs[i]?.name === spec.name
          ? outputs[i]
          : outputs.find(({ name }) => name === spec.name);
      const wrong =
        tensor === undefined
          ? broken('shape', spec, 'is missing')
          : wrongForm(spec, holder, tensor, rowCount);
      if (wrong !== undefined) found.push(wrong);
      else for (const check of values) check(tensor as Tensor, found);
    }
  };
}

function whole(name: FindingName, spec: TensorSpec, what: string): Finding {
  return { name, of: spec.name, rows: [], message: `Output ${JSON.stringify(spec.name)} ${what}` };
}

function broken(name: FindingName, spec: TensorSpec, what: string): Finding {
  return { ...whole(name, spec, what), isBroken: true };
}

/** The class of array that holds an output's elements. */
function holderOf({ datatype }: TensorSpec): unknown {
  return datatype === 'BYTES' ? Array : numericArray(datatype, 0).constructor;
}

function wrongForm(
  spec: TensorSpec,
  holder: unknown,
  tensor: Tensor,
  rowCount: number,
): Finding | undefined {
  const { datatype, shape, data } = tensor;
  if (datatype !== spec.datatype || data.constructor !== holder) {
    if (datatype === 'BYTES' ? !Array.isArray(data) : !holdsDatatype(datatype, data))
      return broken('datatype', spec, `is called ${datatype} and holds something else`);
    if (datatype !== spec.datatype)
      return whole('datatype', spec, `is ${datatype}; its signature says ${spec.datatype}`);
  }
  if (elementCount(shape) !== data.length)
    return broken('shape', spec, `has ${data.length} elements for the shape [${shape}]`);
  if (spec.shape[0] === -1 && shape[0] !== rowCount)
    return broken('shape', spec, `has ${shape[0]} rows for ${rowCount} that were asked for`);
  let fits = spec.unranked === true || shape.length === spec.shape.length;
  for (let d = 0; fits && d < spec.shape.length; d += 1)
    fits = spec.shape[d] === -1 || spec.shape[d] === shape[d];
  if (fits) return undefined;
  return whole('shape', spec, `has the shape [${shape}]; its signature says [${spec.shape}]`);
}

type ValueCheck = (tensor: Tensor, found: Finding[]) => void;

function valueChecks(spec: TensorSpec, range: OutputRange | undefined): ValueCheck[] {
  const checks: ValueCheck[] = [];
  const notFinite = (value: number): boolean => value - value !== 0;
  switch (spec.datatype) {
    case 'FP32':
    case 'FP64':
      checks.push((tensor, found) => {
        // A sum of x − x is 0 while all are finite: the loop has no branch.
        const data = tensor.data as Float64Array;
        let sum = 0;
        for (let i = 0; i < data.length; i += 1) {
          const value = data[i] as number;
          sum += value - value;
        }
        if (sum !== 0) found.push(inRows('not_finite', spec, tensor, notFinite, 'is not finite'));
      });
      break;
    case 'FP16':
    case 'BF16': {
      const exponent = spec.datatype === 'FP16' ? 0x7c00 : 0x7f80;
      const special = (bits: number): boolean => (bits & exponent) === exponent;
      checks.push((tensor, found) => {
        if ((tensor.data as Uint16Array).some(special))
          found.push(inRows('not_finite', spec, tensor, special, 'is not finite'));
      });
      break;
    }
    default:
  }
  if (range !== undefined && !['BYTES', 'FP16', 'BF16'].includes(spec.datatype)) {
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = range;
    const outside = (value: number): boolean => value < min || value > max;
    checks.push((tensor, found) => {
      const data = tensor.data as Float64Array;
      let isWithin = true;
      for (let i = 0; i < data.length && isWithin; i += 1) {
        const value = data[i] as number;
        isWithin = !(value < min || value > max);
      }
      if (!isWithin)
        found.push(inRows('out_of_range', spec, tensor, outside, `is outside of ${min} to ${max}`));
    });
  }
  return checks;
}

function inRows(
  name: FindingName,
  spec: TensorSpec,
  { data, shape }: Tensor,
  isBad: (value: number) => boolean,
  what: string,
): Finding {
  const rowSize = spec.shape[0] === -1 ? Math.max(1, elementCount(shape.slice(1))) : 0;
  const rows = new Set<number>();
  for (let i = 0; rowSize > 0 && i < data.length; i += 1)
    if (isBad(data[i] as number)) rows.add(Math.floor(i / rowSize));
  const [first] = rows;
  const place = first === undefined ? '' : ` in row ${first}`;
  return { ...whole(name, spec, `${what}${place}`), rows: [...rows] };
}
