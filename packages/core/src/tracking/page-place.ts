/** Where a page begins, and until when the links that it was found by were made. */
export interface PagePlace {
  /** The store's own. */
  readonly cursor: string;
  readonly until?: number;
}

/**
 * A cursor for the caller. Where a search follows links, all pages see those that the first one saw: their
 * time stands before the store's own cursor.
 */
export function placeText(cursor: string, until: number | undefined): string {
  return until === undefined ? cursor : `${until}.${cursor}`;
}

/** What {@link placeText} wrote. */
export function readPlace(text: string): PagePlace {
  const [, until, cursor] = /^([0-9]{1,15})\.(.*)$/s.exec(text) ?? [];
  if (until === undefined || cursor === undefined) return { cursor: text };
  return { cursor, until: Number(until) };
}
