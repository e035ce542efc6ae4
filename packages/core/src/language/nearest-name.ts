/**
 * The name among `known` that was probably meant: the one with the fewest letters to change, add, leave out or swap,
 * up to a third of them; case, hyphens and underscores count for nothing. Undefined where none is near.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const asked = folded(name);
  let best: string | undefined;
  let least = Math.max(1, Math.floor(asked.length / 3)) + 1;
  for (const each of known) {
    const other = folded(each);
    if (Math.abs(other.length - asked.length) >= least) continue;
    const changes = editsBetween(asked, other);
    if (changes < least) {
      least = changes;
      best = each;
    }
  }
  return best;
}

/** Names are short; what is longer is compared by its beginning. */
function folded(name: string): string {
  return name.slice(0, 100).toLowerCase().replaceAll(/[-_]/g, '');
}

/** The optimal string alignment distance. */
function editsBetween(a: string, b: string): number {
  let twoAbove: readonly number[] = [];
  let above: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min(
        (above[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (above[j - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) edits = Math.min(edits, (twoAbove[j - 2] ?? 0) + 1);
      row.push(edits);
    }
    twoAbove = above;
    above = row;
  }
  return above[b.length] ?? 0;
}
