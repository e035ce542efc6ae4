import { isKeelsonError, type KeelsonError } from '@keelson/core';
import { invalid, refusal } from './errors.ts';

/** What the words of MLflow's filters are in Keelson's, for one kind of thing. */
export interface SearchWords {
  /** MLflow's word before the point → ours; case counts. */
  readonly entities: Readonly<Record<string, string>>;
  /** MLflow's attributes → ours. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Keys of tags that are no tags here → our attribute. */
  readonly tags?: Readonly<Record<string, string>>;
}

const tagEntities = { tag: 'tags', tags: 'tags' };
const attributeEntities = { attribute: '', attributes: '', attr: '', run: '' };

/** Of runs. */
export const runWords: SearchWords = {
  entities: {
    ...{ metric: 'metrics', metrics: 'metrics' },
    ...{ param: 'params', params: 'params', parameter: 'params', parameters: 'params' },
    ...tagEntities,
    ...{ dataset: 'datasets', datasets: 'datasets' },
    ...attributeEntities,
  },
  attributes: {
    run_id: 'run_id',
    ...{
      run_name: 'run_name',
      'run name': 'run_name',
      'Run name': 'run_name',
      'Run Name': 'run_name',
    },
    user_id: 'tags."mlflow.user"',
    status: 'status',
    artifact_uri: 'artifact_uri',
    ...{ start_time: 'start_time', created: 'start_time', Created: 'start_time' },
    end_time: 'end_time',
    // Ours, beside MLflow's.
    ...{ experiment_id: 'experiment_id', duration: 'duration', parent_run_id: 'parent_run_id' },
  },
  tags: { 'mlflow.runName': 'run_name' },
};

/** Of experiments. */
export const experimentWords: SearchWords = {
  entities: { ...tagEntities, attribute: '', attributes: '', attr: '' },
  attributes: {
    ...{ name: 'name', experiment_id: 'experiment_id' },
    ...{ creation_time: 'creation_time', last_update_time: 'last_update_time' },
  },
};

/** Of logged models. */
export const loggedModelWords: SearchWords = {
  entities: {
    ...{ metrics: 'metrics', metric: 'metrics', params: 'params', param: 'params' },
    ...{ ...tagEntities, attribute: '', attributes: '' },
  },
  attributes: {
    ...{ name: 'name', model_id: 'model_id', model_type: 'model_type', status: 'status' },
    ...{ source_run_id: 'source_run_id', experiment_id: 'experiment_id' },
    ...{
      creation_time: 'created',
      creation_timestamp: 'created',
      creation_timestamp_ms: 'created',
    },
    ...{ last_updated_timestamp: 'updated', last_updated_timestamp_ms: 'updated' },
  },
};

/** Of registered models. */
export const modelWords: SearchWords = {
  entities: { ...tagEntities, attribute: '', attributes: '' },
  attributes: {
    ...{ name: 'name', last_updated_timestamp: 'updated', timestamp: 'updated' },
    ...{ creation_timestamp: 'created', description: 'description' },
  },
};

/** Of versions of registered models. */
export const versionWords: SearchWords = {
  entities: { ...tagEntities, attribute: '', attributes: '' },
  attributes: {
    ...{ name: 'name', version_number: 'number', version: 'number', run_id: 'run_id' },
    source_path: 'tags."keelson.mlflow.source"',
    ...{ creation_timestamp: 'created', last_updated_timestamp: 'updated' },
  },
};

/** The tag that says which versions are prompts; those without it are none. */
const promptTag = 'mlflow.prompt.is_prompt';

/**
 * A filter of MLflow's in Keelson's language, which has all of it, and OR, NOT, parentheses and BETWEEN besides.
 * INVALID_PARAMETER_VALUE, in MLflow's words, for entities and attributes that there are not.
 */
export function translateFilter(filter: string | undefined, words: SearchWords): string {
  if (filter === undefined || filter.trim() === '') return '';
  return new FilterTranslation(filter, words).translate();
}

/** One key to sort by, such as ``metrics.`val loss` DESC``. */
export function translateOrder(order: string, words: SearchWords): string {
  const whole = order.trim();
  const direction = /\s(ASC|DESC)$/i.exec(whole);
  const name = direction === null ? whole : whole.slice(0, direction.index).trimEnd();
  if (name === '') throw invalid(`Invalid order_by clause '${order}'. It is empty.`);
  const scanner = new TokenScanner(name, 'order_by clause');
  const pieces = scanner.takeName() ?? [];
  // `Run Name` may stand without quotes.
  const rest = scanner.atEnd ? pieces : [{ text: name, quoted: false }];
  return `${nameOf(rest, words, name)} ${(direction?.[1] ?? 'ASC').toUpperCase()}`;
}

/** Keys to sort by; each once. */
export function translateOrders(orders: readonly string[], words: SearchWords): readonly string[] {
  const all = orders.map((order) => translateOrder(order, words));
  const names = all.map((order) => order.replace(/ (ASC|DESC)$/, ''));
  if (new Set(names).size === names.length) return all;
  throw invalid(`\`order_by\` contains duplicate fields: ${JSON.stringify(orders)}`);
}

/** Runs a search; what its filter does not say is told in MLflow's words. */
export async function searching<T>(search: () => Promise<T>): Promise<T> {
  try {
    return await search();
  } catch (error) {
    if (!isKeelsonError(error, 'SYNTAX')) throw error;
    throw invalidClause(error.message, error);
  }
}

/** Text as it stands in a filter. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

interface Piece {
  readonly text: string;
  readonly quoted: boolean;
}

class FilterTranslation {
  readonly #scanner: TokenScanner;
  readonly #words: SearchWords;
  readonly #out: string[] = [];

  constructor(filter: string, words: SearchWords) {
    this.#scanner = new TokenScanner(filter, 'filter string');
    this.#words = words;
  }

  translate(): string {
    const scanner = this.#scanner;
    do {
      while (this.#keep('NOT') || this.#keep('('));
      this.#comparison();
      while (this.#keep(')'));
    } while (this.#keep('AND') || this.#keep('OR'));
    if (!scanner.atEnd) scanner.fail();
    return this.#out.join(' ');
  }

  #comparison(): void {
    const scanner = this.#scanner;
    const name = nameOf(scanner.takeName() ?? scanner.fail(), this.#words, scanner.text);
    const isPrompt = name === `tags."${promptTag}"`;
    const operator = scanner.take(/!=|<>|>=|<=|=|>|</y);
    if (operator !== undefined) {
      // Whatever was never said to be a prompt is none.
      const negated = isPrompt && (operator === '!=' || operator === '<>');
      this.#out.push(negated ? 'NOT' : '', name, negated ? '=' : operator.replace('<>', '!='));
      this.#value();
      return;
    }
    this.#out.push(name);
    if (this.#keep('IS')) {
      this.#keep('NOT');
      if (!this.#keep('NULL')) scanner.fail();
      return;
    }
    this.#keep('NOT');
    if (this.#keep('LIKE') || this.#keep('ILIKE')) this.#value();
    else if (this.#keep('IN')) this.#values();
    else if (this.#keep('BETWEEN')) {
      this.#value();
      if (!this.#keep('AND')) scanner.fail();
      this.#value();
    } else scanner.fail();
  }

  #values(): void {
    if (!this.#keep('(')) this.#scanner.fail();
    do this.#value();
    while (this.#keep(','));
    if (!this.#keep(')')) this.#scanner.fail();
  }

  #value(): void {
    const value = this.#scanner.take(/'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s'"`()=<>!,]+/y);
    this.#out.push(value ?? this.#scanner.fail());
  }

  #keep(word: string): boolean {
    const pattern = /^\w/.test(word)
      ? new RegExp(`${word}(?![\\w.])`, 'iy')
      : new RegExp(`\\${word}`, 'y');
    if (this.#scanner.take(pattern) === undefined) return false;
    this.#out.push(word);
    return true;
  }
}

/** Reads a text token by token, white space left out. */
class TokenScanner {
  readonly text: string;
  readonly #of: string;
  #at = 0;

  constructor(text: string, of: string) {
    this.text = text;
    this.#of = of;
    this.#skip();
  }

  get atEnd(): boolean {
    return this.#at >= this.text.length;
  }

  take(pattern: RegExp): string | undefined {
    const found = this.#match(pattern);
    if (found !== undefined) this.#skip();
    return found;
  }

  /** The pieces of a name: words with points, and what stands in double quotes or backticks. */
  takeName(): readonly Piece[] | undefined {
    const pieces: Piece[] = [];
    for (;;) {
      const word = this.#match(/[^\s'"`()=<>!,]+/y);
      const found = word ?? this.#match(/"(?:[^"]|"")*"|`[^`]*`/y);
      if (found === undefined) break;
      if (word !== undefined) pieces.push({ text: word, quoted: false });
      else pieces.push({ text: found.slice(1, -1).replaceAll('""', '"'), quoted: true });
    }
    this.#skip();
    return pieces.length === 0 ? undefined : pieces;
  }

  fail(): never {
    const rest = this.text.slice(this.#at, this.#at + 200);
    const what = rest === '' ? 'it ends too early' : `'${rest}'`;
    throw invalid(`Invalid clause(s) in ${this.#of}: ${what}`);
  }

  #match(sticky: RegExp): string | undefined {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    return found;
  }

  #skip(): void {
    this.#match(/\s+/y);
  }
}

/** What a name of MLflow's is called in Keelson's language. */
function nameOf(pieces: readonly Piece[], words: SearchWords, of: string): string {
  const [head, ...rest] = pieces;
  const point = head?.quoted === false ? head.text.indexOf('.') : -1;
  if (head === undefined || point < 0) {
    return attributeOf(pieces.map((piece) => piece.text).join(''), words);
  }
  const entity = head.text.slice(0, point);
  const key = [head.text.slice(point + 1), ...rest.map((piece) => piece.text)].join('');
  if (!Object.hasOwn(words.entities, entity)) {
    const valid = Object.keys(words.entities).map((each) => `'${each}'`);
    throw invalid(
      `Invalid entity type '${entity.slice(0, 100)}'. Valid values are [${valid.join(', ')}]`,
    );
  }
  if (key === '') throw invalid(`Invalid clause(s) in filter string: '${of.slice(0, 200)}'`);
  const scope = words.entities[entity];
  if (scope === '' || scope === undefined) return attributeOf(key, words);
  if (scope === 'tags' && words.tags !== undefined && Object.hasOwn(words.tags, key)) {
    return words.tags[key] ?? '';
  }
  if (scope === 'datasets') return `datasets.${key}`;
  return `${scope}."${key.replaceAll('"', '""')}"`;
}

function attributeOf(key: string, { attributes }: SearchWords): string {
  const found = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
  if (found !== undefined) return found;
  const valid = Object.keys(attributes).map((each) => `'${each}'`);
  throw invalid(
    `Invalid attribute key '${key.slice(0, 100)}' specified. Valid keys are [${valid.join(', ')}]`,
  );
}

function invalidClause(why: string, cause: KeelsonError): KeelsonError {
  return refusal('INVALID_PARAMETER_VALUE', `Invalid clause(s) in filter string: ${why}`, cause);
}
