/**
 * Whether `text` matches a `like` pattern: `%` is any run of characters, `_` any one character (code
 * point), no escape; without `caseSensitive` ASCII letters are folded, no others. Never backtracks
 * across a `%`: at worst length of text × length of pattern.
 */
export function matchesLike(text: string, pattern: string, caseSensitive: boolean): boolean {
  if (!caseSensitive) return matchesLike(foldAscii(text), foldAscii(pattern), true);
  const pieces = pattern.split('%');
  const first = pieces[0] ?? '';
  if (pieces.length === 1) return matchAt(text, 0, first) === text.length;

  // The first piece sticks to the start, the last one to the end; between them, leftmost wins.
  let position = matchAt(text, 0, first);
  if (position === undefined) return false;
  for (const piece of pieces.slice(1, -1)) {
    position = findPiece(text, position, piece);
    if (position === undefined) return false;
  }
  const last = pieces.at(-1) ?? '';
  const start = backBy(text, codePoints(last));
  return start !== undefined && start >= position && matchAt(text, start, last) !== undefined;
}

/** Where the match ends of the leftmost match of `piece` at or after `from`. */
function findPiece(text: string, from: number, piece: string): number | undefined {
  if (!piece.includes('_')) {
    const found = text.indexOf(piece, from);
    return found < 0 ? undefined : found + piece.length;
  }
  for (let start = from; start <= text.length; start += widthAt(text, start)) {
    const end = matchAt(text, start, piece);
    if (end !== undefined) return end;
  }
  return undefined;
}

/** Where the match of `piece` (no `%` in it) at `start` ends; undefined when it does not match there. */
function matchAt(text: string, start: number, piece: string): number | undefined {
  let at = start;
  for (let i = 0; i < piece.length; i += 1) {
    if (at >= text.length) return undefined;
    if (piece[i] === '_') {
      at += widthAt(text, at);
    } else {
      if (piece.charCodeAt(i) !== text.charCodeAt(at)) return undefined;
      at += 1;
    }
  }
  return at;
}

function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += widthAt(text, at)) count += 1;
  return count;
}

/** The position `count` code points before the end; undefined when the text is shorter. */
function backBy(text: string, count: number): number | undefined {
  let at = text.length;
  for (let left = count; left > 0; left -= 1) {
    if (at <= 0) return undefined;
    at -= at >= 2 && widthAt(text, at - 2) === 2 ? 2 : 1;
  }
  return at;
}

function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
