import { Lexer, parseDocument } from 'yaml';
import type { Json } from '../../json.ts';
import { damaged, refused } from './model-fault.ts';
import { storable } from './text-file.ts';

const maxTokens = 100_000;
const maxFlowDepth = 64;
/** Anchors and aliases together. */
const maxNames = 500;
const maxAliases = 100;

/**
 * The value of a YAML text. What would take the parser long is refused by its tokens, as INVALID, before it is parsed;
 * CORRUPT for what is no YAML. Tags make no values of other kinds.
 */
export function parseYaml(text: string, path: string): Json {
  assertParsable(text, path);
  let value: unknown;
  try {
    const document = parseDocument(text, {
      // Comparing all keys of a map takes the square of their number.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
    });
    if (document.errors[0] !== undefined) throw document.errors[0];
    value = document.toJS({ maxAliasCount: maxAliases });
  } catch (cause) {
    if (cause instanceof ReferenceError)
      throw refused(path, 'has aliases that would unfold without bounds', cause);
    const why = cause instanceof Error ? `: ${cause.message.slice(0, 200)}` : '';
    throw damaged(path, `is no YAML that can be read${why}`, cause);
  }
  return storable(value, path);
}

function assertParsable(text: string, path: string): void {
  let tokens = 0;
  let names = 0;
  let depth = 0;
  for (const token of new Lexer().lex(text)) {
    tokens += 1;
    if (token[0] === '&' || token[0] === '*') names += 1;
    else if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth -= 1;
    if (depth > maxFlowDepth)
      throw refused(path, `is nested more than ${maxFlowDepth} levels deep`);
    if (names > maxNames) throw refused(path, `has more than ${maxNames} anchors and aliases`);
    if (tokens > maxTokens) throw refused(path, `has more than ${maxTokens} parts`);
  }
}
