import type { ColumnDeclaration, ColumnValue, KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import type { SqlRow, SqlValue } from './dialect.ts';

/** A column's value as a table holds it. `flag` is for real columns, see `flagColumn`. */
export interface ColumnInput {
  readonly name: string;
  readonly declaration: ColumnDeclaration;
  readonly value: SqlValue;
  readonly flag: SqlValue;
}

/** The declaration of a column; INVALID when the kind does not declare it. */
export function assertColumn(
  kind: KindDeclaration,
  name: string,
  label: string,
): ColumnDeclaration {
  const declared = Object.hasOwn(kind.columns, name) ? kind.columns[name] : undefined;
  if (declared === undefined) {
    throw new KeelsonError('INVALID', `${label} has no column ${name}.`);
  }
  return declared;
}

/** A value as a table holds it; INVALID, naming the place, for a wrong type. */
export function columnInput(
  kind: KindDeclaration,
  name: string,
  value: ColumnValue,
  label: string,
): ColumnInput {
  const declaration = assertColumn(kind, name, label);
  const input = (stored: SqlValue, flag: SqlValue = null): ColumnInput => ({
    name,
    declaration,
    value: stored,
    flag,
  });
  if (value === undefined) {
    if (declaration.optional === true) return input(null);
    throw new KeelsonError('INVALID', `The column ${name} of ${label} cannot be missing.`);
  }
  switch (declaration.type) {
    case 'text':
      return input(assertText(value, `The column ${name} of ${label}`));
    case 'boolean':
      if (typeof value === 'boolean') return input(value ? 1 : 0);
      break;
    case 'integer':
      if (Number.isSafeInteger(value)) return input(Number(value) + 0);
      break;
    case 'real':
      if (typeof value === 'number') return realInput(input, value);
  }
  throw new KeelsonError(
    'INVALID',
    `The column ${name} of ${label} must be ${expected[declaration.type]}, not ${String(value)} (${typeof value}).`,
  );
}

function realInput(
  input: (stored: SqlValue, flag: SqlValue) => ColumnInput,
  value: number,
): ColumnInput {
  if (Number.isNaN(value)) return input(null, 1);
  return Object.is(value, -0) ? input(0, 2) : input(value, null);
}

/** The value of a column, from the row's `value` and `flag`. */
export function columnOutput(
  declaration: ColumnDeclaration,
  value: SqlRow[string],
  flag: SqlRow[string],
): ColumnValue {
  if (declaration.type === 'real') {
    if (flag === 1) return Number.NaN;
    if (flag === 2) return -0;
  }
  if (value === null || value === undefined) return undefined;
  return declaration.type === 'boolean' ? value === 1 : (value as ColumnValue);
}

const expected = {
  text: 'text',
  boolean: 'a boolean',
  integer: 'a safe integer',
  real: 'a number',
} as const;
