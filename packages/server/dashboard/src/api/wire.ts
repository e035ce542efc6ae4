/** Numbers that JSON has not, as the control plane writes them: `{"$number":"NaN"}`. */
const numbers: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  '-0': -0,
};

/** The value of an answer. */
export function decode(text: string): unknown {
  return text.includes('$number') ? JSON.parse(text, revive) : JSON.parse(text);
}

/** A value as a body. */
export function encode(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'number' && !Number.isFinite(each) ? { $number: String(each) } : each,
  );
}

function revive(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const keys = Object.keys(value);
  const [key] = keys;
  if (keys.length !== 1 || key === undefined || !/^\$+number$/.test(key)) return value;
  const held = (value as Record<string, unknown>)[key];
  if (key === '$number') return numbers[String(held)] ?? value;
  return { [key.slice(1)]: held };
}
