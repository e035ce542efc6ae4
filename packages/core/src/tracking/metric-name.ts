import { isMetricWord, type MetricDirection, metricWords } from './metric-direction.ts';

/** What a workspace has agreed on about a metric. */
export interface MetricName {
  /** The one name it is compared and reported by. */
  readonly name: string;
  /** Other names that mean the same; those of runs logged before, say. */
  readonly aliases: readonly string[];
  readonly direction?: MetricDirection;
  /** Such as `ms` or `%`. */
  readonly unit?: string;
  readonly description?: string;
}

/**
 * How a new name comes near an old one: the same words written otherwise (`valLoss`, `val-loss`), or one
 * word misspelt by one character (two, in words of nine and more). Digits must be the same, a word that
 * metrics are called by (`mse`, `mae`, `test`, `best`) is never a misspelling. Undefined where they are
 * equal or not near.
 */
export function nearness(name: string, old: string): 'spelling' | 'misspelt' | undefined {
  if (name === old) return undefined;
  const words = metricWords(name);
  const oldWords = metricWords(old);
  const spelling = spellingOf(words);
  if (spelling !== '' && spelling === spellingOf(oldWords)) return 'spelling';
  if (words.length !== oldWords.length) return undefined;
  const differing = words.flatMap((word, i) => (word === oldWords[i] ? [] : [i]));
  const [at] = differing;
  if (differing.length !== 1 || at === undefined) return undefined;
  return isMisspelt(words[at] ?? '', oldWords[at] ?? '') ? 'misspelt' : undefined;
}

const wordsPerBucket = 200;

/**
 * Old names, arranged so that a new one is held against the few that it could be near, and not against
 * all: {@link nearness} to any of them, of thousands, takes microseconds. Of words that stand in the same
 * place the first 200 are looked at.
 */
export class OldNames {
  readonly #names = new Set<string>();
  readonly #bySpelling = new Map<string, string>();
  readonly #byRest = new Map<string, { readonly word: string; readonly name: string }[]>();

  constructor(names: Iterable<string> = []) {
    for (const name of names) this.add(name);
  }

  add(name: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    const words = metricWords(name);
    const spelling = spellingOf(words);
    if (spelling !== '' && !this.#bySpelling.has(spelling)) this.#bySpelling.set(spelling, name);
    for (const [i, word] of words.entries()) {
      const rest = restOf(words, i);
      const bucket = this.#byRest.get(rest) ?? [];
      this.#byRest.set(rest, bucket);
      if (bucket.length < wordsPerBucket) bucket.push({ word, name });
    }
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** An old name that has the same words, written otherwise. */
  respelt(name: string): string | undefined {
    return this.has(name) ? undefined : this.#bySpelling.get(spellingOf(metricWords(name)));
  }

  /** An old name that this one is nearly; undefined for an old name itself. */
  near(name: string): string | undefined {
    if (this.has(name)) return undefined;
    const words = metricWords(name);
    const respelt = this.#bySpelling.get(spellingOf(words));
    if (respelt !== undefined) return respelt;
    for (const [i, word] of words.entries()) {
      const bucket = this.#byRest.get(restOf(words, i)) ?? [];
      const old = bucket.find((other) => isMisspelt(word, other.word));
      if (old !== undefined) return old.name;
    }
    return undefined;
  }
}

/** Words without what parts them, except two numbers: `conv1_1` is not `conv11`. */
function spellingOf(words: readonly string[]): string {
  return words.join(' ').replace(/(?<!\d) | (?!\d)/g, '');
}

/** What a misspelling of one word leaves as it is: the other words, and the digits of that one. */
function restOf(words: readonly string[], at: number): string {
  const others = words.map((word, i) => (i === at ? digitsOf(word) : word));
  return `${at} ${others.join(' ')}`;
}

function digitsOf(word: string): string {
  return word.replace(/\D/g, '');
}

function isMisspelt(word: string, old: string): boolean {
  if (isMetricWord(word)) return false;
  if (digitsOf(word) !== digitsOf(old)) return false;
  const longer = Math.max(word.length, old.length);
  // `boat` and `goat` are two words, `vall` and `val` hardly are.
  const least = word.length === old.length && !isSwap(word, old) ? 5 : 4;
  if (longer < least) return false;
  return editDistance(word, old, longer >= 9 ? 2 : 1) !== undefined;
}

function isSwap(a: string, b: string): boolean {
  return [...a].toSorted().join('') === [...b].toSorted().join('');
}

/**
 * Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other
 * (optimal string alignment); undefined beyond `most`.
 */
export function editDistance(a: string, b: string, most: number): number | undefined {
  if (Math.abs(a.length - b.length) > most) return undefined;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
        (row[j - 1] as number) + same,
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] as number) + 1);
      next.push(least);
    }
    [before, row] = [row, next];
  }
  const distance = row[b.length] as number;
  return distance <= most ? distance : undefined;
}
