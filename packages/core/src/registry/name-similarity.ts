// Most names are plain, and a search looks at all of them.
const plain = /^[ -~]*$/;

/** Letters of other kinds, accents and case make no difference. */
function folded(text: string): string {
  const letters = plain.test(text) ? text : text.normalize('NFKD').replace(/\p{M}+/gu, '');
  return letters.toLowerCase().trim();
}

/** Of a folded text. */
function wordsOf(text: string): readonly string[] {
  const between = plain.test(text) ? /[^a-z0-9]+/ : /[^\p{L}\p{N}]+/u;
  return text.split(between).filter((word) => word !== '');
}

/**
 * How much a name is like what somebody typed: 1 the same; from 0.9 it begins so, from 0.7 it has it within;
 * up to 0.69 its words are like those typed (misspelt, in another order, begun); up to 0.35 it shares many
 * groups of three letters; 0 not at all. Of two that begin so, the shorter is more alike.
 */
export function nameMatcher(typed: string): (name: string) => number {
  const wanted = folded(typed);
  const words = wordsOf(wanted);
  const groups = new Set(groupsOf(words));
  return (name) => {
    const given = folded(name);
    if (given === wanted) return 1;
    const at = wanted === '' ? -1 : given.indexOf(wanted);
    if (at >= 0) {
      const share = 0.09 * (wanted.length / given.length);
      if (at === 0) return 0.9 + share;
      const beginsWord = !/[\p{L}\p{N}]$/u.test(given.slice(0, at));
      if (beginsWord || wanted.length > 1) return (beginsWord ? 0.8 : 0.7) + share;
    }
    const others = wordsOf(given);
    const like = 0.69 * Math.max(closeness(wanted, given), likeWords(words, others));
    return like > 0.35 ? like : Math.max(like, 0.35 * sharedGroups(groups, others));
  };
}

/** The mean over the typed words of how close the closest word is, a little less for each word beside them. */
function likeWords(typed: readonly string[], given: readonly string[]): number {
  if (typed.length === 0) return 0;
  let sum = 0;
  for (const word of typed) {
    const best = given.reduce((most, other) => {
      if (other === word) return 1;
      return Math.max(most, other.startsWith(word) ? 0.95 : closeness(word, other));
    }, 0);
    if (best === 0) return 0;
    sum += best;
  }
  return (sum / typed.length) * (0.9 + 0.1 * Math.min(1, typed.length / given.length));
}

/** 1 less the share of letters to change; 0 beyond one in four letters, and for the shortest words. */
function closeness(typed: string, given: string): number {
  const most = Math.min(3, Math.floor((typed.length + 1) / 4));
  const distance = editDistance(typed, given, most);
  if (distance === undefined) return 0;
  return 1 - distance / Math.max(typed.length, given.length);
}

/**
 * How many letters must be put in, left out, changed or swapped with their neighbour to make one text of the
 * other (optimal string alignment); undefined for more than `most`.
 */
export function editDistance(a: string, b: string, most: number): number | undefined {
  if (Math.abs(a.length - b.length) > most) return undefined;
  if (most === 0) return a === b ? 0 : undefined;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    let least = i;
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, (before[j - 2] as number) + 1);
      next.push(cost);
      least = Math.min(least, cost);
    }
    // A swap reaches back two rows, and adds one.
    if (least > most && Math.min(...row) + 1 > most) return undefined;
    before = row;
    row = next;
  }
  const distance = row[b.length] as number;
  return distance > most ? undefined : distance;
}

/** The groups of three letters of each word, as if it stood between blanks. */
function groupsOf(words: readonly string[]): readonly string[] {
  const groups: string[] = [];
  for (const word of words) {
    const padded = `  ${word} `;
    for (let i = 0; i + 3 <= padded.length; i += 1) groups.push(padded.slice(i, i + 3));
  }
  return groups;
}

/** The share of all groups that both have; 0 below three in ten. */
function sharedGroups(typed: ReadonlySet<string>, words: readonly string[]): number {
  const given = groupsOf(words);
  const both = new Set(given.filter((group) => typed.has(group))).size;
  // Most names share next to nothing, however many groups they have.
  if (both < 0.3 * typed.size || both === 0) return 0;
  const share = both / (typed.size + new Set(given).size - both);
  return share < 0.3 ? 0 : share;
}
