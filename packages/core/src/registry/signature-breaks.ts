import type {
  ColumnSpec,
  ModelSignature,
  TensorSpec,
  ValueSpec,
} from '../contracts/model-runtime.ts';
import { schemaContains } from './schema-containment.ts';

/**
 * Why callers written for `former` would fail with `next`: an input that they do not send, or one that
 * changed its type or shape; an output that they read and that is gone or changed. Also what cannot be shown to
 * fit, such as JSON Schemas that differ in more than simple ways. Empty when none.
 */
export function signatureBreaks(former: ModelSignature, next: ModelSignature): readonly string[] {
  return [
    ...tensorBreaks(former, next),
    ...columnBreaks('input', next.inputColumns, former.inputColumns),
    ...columnBreaks('output', former.outputColumns, next.outputColumns),
    ...schemaBreaks('input', former.inputSchema, next.inputSchema),
    ...schemaBreaks('output', former.outputSchema, next.outputSchema),
  ];
}

function tensorBreaks(former: ModelSignature, next: ModelSignature): readonly string[] {
  const breaks: string[] = [];
  for (const input of next.inputs) {
    const before = former.inputs.find((each) => each.name === input.name);
    if (before === undefined) breaks.push(`input ${input.name} is new`);
    else if (!accepts(input, before)) breaks.push(`input ${input.name} changed`);
  }
  for (const input of former.inputs) {
    if (!next.inputs.some((each) => each.name === input.name))
      breaks.push(`input ${input.name} is gone`);
  }
  for (const output of former.outputs) {
    const after = next.outputs.find((each) => each.name === output.name);
    if (after === undefined) breaks.push(`output ${output.name} is gone`);
    else if (!accepts(output, after)) breaks.push(`output ${output.name} changed`);
  }
  return breaks;
}

// Whether whatever fits `given` fits `wanted` too.
function accepts(wanted: TensorSpec, given: TensorSpec): boolean {
  if (wanted.datatype !== given.datatype || !shapeFits(wanted, given)) return false;
  if (wanted.columns === undefined || given.columns === undefined) return true;
  return JSON.stringify(wanted.columns) === JSON.stringify(given.columns);
}

function shapeFits(wanted: TensorSpec, given: TensorSpec): boolean {
  if (wanted.unranked === true) return true;
  if (given.unranked === true || wanted.shape.length !== given.shape.length) return false;
  return wanted.shape.every((size, i) => size === -1 || size === given.shape[i]);
}

/** For inputs, what is wanted is of the new version and given by callers; for outputs the other way round. */
function columnBreaks(
  side: 'input' | 'output',
  wanted: readonly ColumnSpec[] | undefined,
  given: readonly ColumnSpec[] | undefined,
): readonly string[] {
  if (wanted === undefined && given === undefined) return [];
  const [former, next] = side === 'input' ? [given, wanted] : [wanted, given];
  if (next === undefined) return [`${side}s are no longer described as columns`];
  if (former === undefined) return side === 'input' ? ['inputs are described as columns now'] : [];
  const wantedOnes = wanted ?? [];
  const givenOnes = given ?? [];
  if ([...wantedOnes, ...givenOnes].some(({ name }) => name === undefined))
    return placesFit(wantedOnes, givenOnes) ? [] : [`${side} columns changed`];
  const breaks = wantedOnes.flatMap((column): string[] => {
    const label = `${side} column ${column.name}`;
    const found = givenOnes.find(({ name }) => name === column.name);
    if (found !== undefined) return columnBreak(side, label, column, found);
    if (!column.required) return [];
    return [`${label} is ${side === 'input' ? 'new' : 'gone'}`];
  });
  if (side === 'output') return breaks;
  const gone = givenOnes.filter(({ name }) => !wantedOnes.some((column) => column.name === name));
  return [...breaks, ...gone.map(({ name }) => `input column ${name} is gone`)];
}

function columnBreak(
  side: 'input' | 'output',
  label: string,
  wanted: ColumnSpec,
  given: ColumnSpec,
): string[] {
  if (!valueFits(wanted, given)) return [`${label} changed`];
  if (given.required || !wanted.required) return [];
  return [side === 'input' ? `${label} is required now` : `${label} may be missing now`];
}

/** Columns without names are known by their places. */
function placesFit(wanted: readonly ColumnSpec[], given: readonly ColumnSpec[]): boolean {
  return (
    wanted.length === given.length &&
    wanted.every((column, i) => {
      const other = given[i] as ColumnSpec;
      return column.name === other.name && fieldFits(column, other);
    })
  );
}

function fieldFits(wanted: ColumnSpec, given: ColumnSpec): boolean {
  return valueFits(wanted, given) && (given.required || !wanted.required);
}

function valueFits(wanted: ValueSpec, given: ValueSpec): boolean {
  if (wanted.type === 'any') return true;
  if (wanted.type !== given.type) return false;
  if (wanted.datatype !== undefined && wanted.datatype !== given.datatype) return false;
  if (wanted.items !== undefined) {
    if (given.items === undefined || !valueFits(wanted.items, given.items)) return false;
  }
  if (wanted.fields === undefined) return true;
  const fields = given.fields ?? [];
  const known = wanted.fields;
  return (
    fields.every(({ name }) => known.some((field) => field.name === name)) &&
    known.every((field) => {
      const found = fields.find(({ name }) => name === field.name);
      return found === undefined ? !field.required : fieldFits(field, found);
    })
  );
}

function schemaBreaks(
  side: 'input' | 'output',
  former: ModelSignature['inputSchema'],
  next: ModelSignature['inputSchema'],
): readonly string[] {
  if (former === undefined && next === undefined) return [];
  if (next === undefined) return [`${side}s no longer have a schema`];
  if (former === undefined) return side === 'input' ? ['inputs must fit a schema now'] : [];
  const fits = side === 'input' ? schemaContains(next, former) : schemaContains(former, next);
  return fits ? [] : [`the schema of the ${side}s changed, and cannot be shown to fit the former`];
}
