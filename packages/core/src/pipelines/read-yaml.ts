import { isScalar, LineCounter, type Pair, parseDocument, type Scalar, visit } from 'yaml';
import { KeelsonError } from '../errors.ts';

const maxCharacters = 8 * 2 ** 20;

/** What is read, and where the parts of it stand. */
export interface ReadYaml {
  readonly value: unknown;
  readonly lineOf: (path: readonly PropertyKey[]) => number | undefined;
}

/**
 * YAML or JSON text of a pipeline. SYNTAX, with line and column, for what is neither; INVALID for anchors, aliases and
 * tags, and for texts that are too long or nested too deeply.
 */
export function readYaml(source: string): ReadYaml {
  if (typeof source !== 'string' || source.length > maxCharacters) {
    const what = typeof source === 'string' ? `${source.length} characters` : typeof source;
    throw new KeelsonError(
      'INVALID',
      `A pipeline is text of at most ${maxCharacters} characters, not ${what}.`,
    );
  }
  const lines = new LineCounter();
  try {
    const document = parseDocument(source, {
      lineCounter: lines,
      // Looked for below: the parser compares each key with each other one.
      uniqueKeys: false,
      version: '1.2',
    });
    const [fault] = [...document.errors, ...document.warnings];
    if (fault !== undefined) {
      const { line, col } = fault.linePos?.[0] ?? { line: 1, col: 1 };
      throw new KeelsonError(
        'SYNTAX',
        `Line ${line}, column ${col}: ${fault.message.split('\n')[0]}`,
        { details: { line, column: col } },
      );
    }
    visit(document, {
      Map: (_, { items }) => assertUnique(items, lines),
      Alias: (_, { range }) => refuseAt('an alias', range?.[0] ?? 0, lines),
      Node: (_, node) => {
        const { anchor, range } = node as {
          readonly anchor?: string;
          readonly range?: readonly number[];
        };
        if (anchor !== undefined) refuseAt('an anchor', range?.[0] ?? 0, lines);
      },
    });
    return {
      value: document.toJS({ maxAliasCount: 0 }),
      lineOf: (path) => {
        const node = document.getIn(path, true) as Partial<Scalar> | undefined;
        const at = node?.range?.[0];
        return at === undefined ? undefined : lines.linePos(at).line;
      },
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new KeelsonError('INVALID', 'This text is nested too deeply to be a pipeline.', {
      cause: error,
    });
  }
}

function assertUnique(pairs: readonly Pair[], lines: LineCounter): void {
  const seen = new Set<string>();
  for (const { key } of pairs) {
    const name = String(isScalar(key) ? key.value : key);
    if (seen.has(name)) {
      const { line, col } = lines.linePos((key as Partial<Scalar>).range?.[0] ?? 0);
      throw new KeelsonError(
        'SYNTAX',
        `Line ${line}, column ${col}: Map keys must be unique; ${JSON.stringify(name.slice(0, 100))} is there twice.`,
        { details: { line, column: col } },
      );
    }
    seen.add(name);
  }
}

function refuseAt(what: string, offset: number, lines: LineCounter): never {
  const { line, col } = lines.linePos(offset);
  throw new KeelsonError(
    'INVALID',
    `Line ${line}, column ${col}: ${what} of YAML is not taken; write the value out.`,
    { details: { line, column: col } },
  );
}
