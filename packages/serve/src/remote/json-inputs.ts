import type { Tensor } from '@keelson/core';
import { datatypeFacts } from '../protocol/datatypes.ts';
import { elementTexts } from '../protocol/json-tensors.ts';
import { type Nested, nest } from '../protocol/predict-v1.ts';

/**
 * Each element as JSON, floats that are not finite as the bare NaN and ±Infinity that Python and TensorFlow Serving read
 * and write: a text would be no number to them.
 */
export function plainTexts(tensor: Tensor): string[] {
  const texts = elementTexts(tensor);
  if (datatypeFacts(tensor.datatype).kind !== 'float') return texts;
  return texts.map((text) => (text.startsWith('"') ? text.slice(1, -1) : text));
}

/** A tensor as nested JSON lists; a scalar as its value. */
export function nestedText(tensor: Tensor): string {
  const texts = plainTexts(tensor);
  if (tensor.shape.length === 0) return texts[0] ?? 'null';
  return textOf(nest(texts, tensor.shape));
}

/** The rows of tensors as JSON: of the only one plain, else objects with a value for each name. */
export function rowTexts(inputs: readonly Tensor[], rowCount: number): readonly string[] {
  const columns = inputs.map((tensor) => ({
    name: JSON.stringify(tensor.name),
    rows: nest(plainTexts(tensor), tensor.shape),
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
