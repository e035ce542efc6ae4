import type { Choices } from './random.ts';

/** Values that have broken readers of JSON. */
const hostile: readonly unknown[] = [
  ...[null, true, false, 0, -0, -1, 1.5, 1e308, -1e-320, 2 ** 53, 2 ** 53 + 2, 4294967296],
  ...[
    '',
    ' ',
    'NaN',
    'Infinity',
    '-Infinity',
    '\u0000',
    '\ud800',
    '\u{1f600}',
    '__proto__',
    'constructor',
  ],
  ...['x'.repeat(300), 'x'.repeat(70_000), '../../etc/passwd', '%00', 'a\r\nb: c'],
  ...[
    [],
    {},
    [[]],
    [null],
    { length: 3 },
    { __proto__: null, toString: 1 },
    { b64: '!' },
    { b64: 'AA==' },
  ],
];

/** Texts that stand for a value and are no JSON, or hard to read. */
const tokens: readonly string[] = [
  ...[
    'NaN',
    '-Infinity',
    '1e999',
    '-1e999',
    '9223372036854775808',
    '0x10',
    '01',
    '1.',
    '.5',
    '-',
    '+1',
  ],
  ...[
    '123456789012345678901234567890',
    '"\\u0000"',
    '"\\ud800"',
    '"\\x"',
    "'a'",
    'undefined',
    '{',
    ']',
    ',',
    '/**/1',
  ],
  ...[
    '['.repeat(5_000),
    `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
    `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
  ],
];

const keys: readonly string[] = [
  ...[
    '__proto__',
    'constructor',
    'toString',
    'inputs',
    'instances',
    'outputs',
    'parameters',
    'id',
    'data',
    'shape',
  ],
  ...[
    'datatype',
    'name',
    'binary_data_size',
    'binary_data_output',
    'binary_data',
    'at',
    'timeout',
    'classification',
  ],
];

/** The same value with one place of it changed, as a text of JSON, or of what nearly is. */
export function mutateJson(value: unknown, choices: Choices): string {
  let tree = value;
  const times = 1 + choices.below(3);
  for (let i = 0; i < times; i += 1) tree = change(tree, choices, 0);
  const text = JSON.stringify(tree) ?? 'null';
  return choices.chance(0.4) ? mutateText(text, choices) : text;
}

function change(value: unknown, choices: Choices, depth: number): unknown {
  const stop = depth > 6 || choices.chance(0.2);
  if (Array.isArray(value) && value.length > 0 && !stop) {
    const place = choices.below(value.length);
    const copy: unknown[] = [...value];
    const kind = choices.below(5);
    if (kind === 0) copy.splice(place, 1);
    else if (kind === 1) copy.splice(place, 0, copy[place]);
    else if (kind === 2) copy.push(...Array.from({ length: choices.below(50) }, () => copy[place]));
    else copy[place] = change(copy[place], choices, depth + 1);
    return copy;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !stop) {
    const entries = Object.entries(value);
    if (entries.length === 0) return { [choices.of(keys)]: choices.of(hostile) };
    const place = choices.below(entries.length);
    const [key, item] = entries[place] as [string, unknown];
    const kind = choices.below(6);
    if (kind === 0) entries.splice(place, 1);
    else if (kind === 1) entries.push([choices.of(keys), choices.of(hostile)]);
    else if (kind === 2) entries[place] = [choices.of(keys), item];
    else entries[place] = [key, change(item, choices, depth + 1)];
    return Object.fromEntries(entries);
  }
  return choices.of(hostile);
}

function mutateText(text: string, choices: Choices): string {
  const at = choices.below(text.length + 1);
  switch (choices.below(6)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + choices.of(tokens) + text.slice(at);
    case 2: {
      // A value in the place of a number.
      const token = choices.of(tokens);
      return text.replace(/-?\d+(\.\d+)?/, () => token);
    }
    case 3: {
      // A key twice.
      const name = choices.of(keys);
      return text.replace('{', () => `{"${name}":${choices.of(tokens)},`);
    }
    case 4:
      return `\ufeff${text}`;
    default:
      return text.slice(0, at) + text.slice(at + 1 + choices.below(8));
  }
}

/** Some of the bytes changed, cut or added. */
export function mutateBytes(bytes: Buffer, choices: Choices): Buffer {
  const copy = Buffer.from(bytes);
  switch (choices.below(4)) {
    case 0:
      return copy.subarray(0, choices.below(copy.length + 1));
    case 1:
      return Buffer.concat([copy, Buffer.alloc(1 + choices.below(64), choices.below(256))]);
    case 2: {
      const at = choices.below(copy.length + 1);
      return Buffer.concat([
        copy.subarray(0, at),
        Buffer.from([choices.below(256)]),
        copy.subarray(at),
      ]);
    }
    default:
      for (let i = 0; i < 1 + choices.below(8) && copy.length > 0; i += 1)
        copy[choices.below(copy.length)] = choices.below(256);
      return copy;
  }
}
