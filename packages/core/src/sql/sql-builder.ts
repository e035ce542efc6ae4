import type { SqlDialect, SqlStatement, SqlValue } from './dialect.ts';

/** A condition that always holds, and one that never does; both databases fold them away. */
export const always = '1=1';
export const never = '1=0';

/** Gathers the values that a statement binds while its text is put together. */
export class SqlBuilder {
  readonly dialect: SqlDialect;
  readonly #values: SqlValue[] = [];

  constructor(dialect: SqlDialect) {
    this.dialect = dialect;
  }

  /** The placeholder of a value. */
  bind(value: SqlValue): string {
    this.#values.push(value);
    return this.dialect.placeholder(this.#values.length);
  }

  /** The placeholder that the next {@link bind} will give. */
  get next(): string {
    return this.dialect.placeholder(this.#values.length + 1);
  }

  /** The statement of this text and of the values bound so far. */
  statement(text: string): SqlStatement {
    return { text, values: [...this.#values] };
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
