import { isMap, isScalar, type Node, parseDocument } from 'yaml';

/** Fields of a `meta.yaml`: texts as they are written, and maps of such texts; a field that is null is left out. */
export interface Meta {
  text(field: string): string | undefined;
  map(field: string): Readonly<Record<string, string>>;
}

/**
 * Reads a `meta.yaml`. Every plain value is a text, whatever YAML would make of it (`1e3` is a name as well as a
 * number); tags, anchors and aliases mean nothing. Throws an Error that says what is wrong with the text.
 */
export function parseMeta(text: string): Meta {
  const document = parseDocument(text, {
    ...{ schema: 'failsafe', uniqueKeys: false, prettyErrors: false, logLevel: 'error' },
  });
  if (document.errors[0] !== undefined) throw new Error(firstLine(document.errors[0].message));
  const { contents } = document;
  if (!isMap(contents)) throw new Error('it holds no fields');
  const fields = new Map<string, Node>();
  for (const { key, value } of contents.items) {
    if (isScalar(key)) fields.set(String(key.value), value as Node);
  }
  return {
    text: (field) => textOf(fields.get(field)),
    map(field) {
      const found = fields.get(field);
      if (!isMap(found)) return {};
      return Object.fromEntries(
        found.items.flatMap(({ key, value }): [string, string][] => {
          const [name, of] = [textOf(key as Node), textOf(value as Node)];
          return name === undefined || of === undefined ? [] : [[name, of]];
        }),
      );
    },
  };
}

function textOf(node: Node | undefined): string | undefined {
  if (!isScalar(node)) return undefined;
  const value = String(node.value ?? '');
  const isNull = node.type === 'PLAIN' && /^(null|Null|NULL|~|)$/.test(value);
  return isNull ? undefined : value;
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').slice(0, 200);
}
