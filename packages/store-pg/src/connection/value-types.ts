import pg from 'pg';

type Parser = (value: string) => unknown;

const asText: Parser = (value) => value;

const int8 = 20;
const json = 114;
const jsonb = 3802;
const xid8 = 5069;

/**
 * How answers are read, whatever a borrowed pool is set to: 64-bit integers as numbers (what is stored
 * is checked to be safe), JSON as its text, transaction numbers as text, everything else as `pg` does by
 * default.
 */
export const valueTypes: { getTypeParser(oid: number, format?: string): Parser } = {
  getTypeParser(oid, format) {
    switch (oid) {
      case int8:
        return Number;
      case json:
      case jsonb:
      case xid8:
        return asText;
      default:
        return pg.types.getTypeParser(oid, (format ?? 'text') as 'text') as Parser;
    }
  },
};
