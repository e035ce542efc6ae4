import type { Tensor } from '@keelson/core';
import { elementTexts } from '../protocol/json-tensors.ts';
import { type Nested, nest } from '../protocol/predict-v1.ts';

/** A tensor as nested JSON lists; a scalar as its value. */
export function nestedText(tensor: Tensor): string {
  const texts = elementTexts(tensor);
  if (tensor.shape.length === 0) return texts[0] ?? 'null';
  return textOf(nest(texts, tensor.shape));
}

/** The rows of tensors as JSON: of the only one plain, else objects with a value for each name. */
export function rowTexts(inputs: readonly Tensor[], rowCount: number): readonly string[] {
  const columns = inputs.map((tensor) => ({
    name: JSON.stringify(tensor.name),
    rows: nest(elementTexts(tensor), tensor.shape),
  }));
  const only = columns.length === 1 ? columns[0] : undefined;
  return Array.from({ length: rowCount }, (_, row) =>
    only === undefined
      ? `{${columns.map(({ name, rows }) => `${name}:${textOf(rows[row])}`).join(',')}}`
      : textOf(only.rows[row]),
  );
}

function textOf(nested: Nested<string> | undefined): string {
  if (nested === undefined) return 'null';
  return typeof nested === 'string' ? nested : `[${nested.map(textOf).join(',')}]`;
}
