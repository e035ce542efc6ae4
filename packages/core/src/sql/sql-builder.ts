import type { SqlDialect, SqlStatement, SqlValue } from './dialect.ts';

/** A condition that always holds, and one that never does; both databases fold them away. */
export const always = '1=1';
export const never = '1=0';

/**
 * Gathers the values that a statement binds while its text is put together. Parts of the text may be
 * dropped or repeated: only what stays in it is bound.
 */
export class SqlBuilder {
  readonly dialect: SqlDialect;
  readonly #values: SqlValue[] = [];

  constructor(dialect: SqlDialect) {
    this.dialect = dialect;
  }

  /** A mark that stands for a value in this builder's texts, and in no others. */
  bind(value: SqlValue): string {
    this.#values.push(value);
    return `{${this.#values.length - 1}}`;
  }

  /** The statement of this text, its marks replaced by the dialect's placeholders. */
  statement(text: string): SqlStatement {
    const values: SqlValue[] = [];
    const places = new Map<string, string>();
    const finished = text.replace(/\{(\d+)\}/g, (mark, index: string) => {
      let place = places.get(mark);
      if (place === undefined) {
        const value = this.#values[Number(index)] ?? null;
        values.push(value);
        place = this.dialect.placeholder(values.length, value);
        places.set(mark, place);
      }
      return place;
    });
    return { text: finished, values };
  }
}

/** All of the conditions; those that always hold left out. */
export function allOf(conditions: readonly string[]): string {
  if (conditions.includes(never)) return never;
  const rest = conditions.filter((condition) => condition !== always);
  if (rest.length <= 1) return rest[0] ?? always;
  return `(${rest.join(' AND ')})`;
}

/** Any of the conditions; those that never hold left out. */
export function anyOf(conditions: readonly string[]): string {
  if (conditions.includes(always)) return always;
  const rest = conditions.filter((condition) => condition !== never);
  if (rest.length <= 1) return rest[0] ?? never;
  return `(${rest.join(' OR ')})`;
}

/** The condition does not hold; NULL counts as not holding. */
export function noneOf(condition: string): string {
  if (condition === always) return never;
  if (condition === never) return always;
  return `((${condition}) IS NOT TRUE)`;
}
