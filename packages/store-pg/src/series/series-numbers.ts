import { KeelsonError } from '@keelson/core';
import { type CompareWriters, compareText, metricDict } from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgTransaction } from '../connection/pg-server.ts';

const cacheSize = 100_000;

/** A text that has a number, such as a metric key of a workspace. */
interface Named {
  readonly workspace: string;
  readonly kind: string;
  readonly facet: string;
  readonly key: string;
}

/**
 * The numbers of metric keys, streams, owners and writers. Once allotted they mean the same for ever: what is
 * committed is kept in the process.
 */
export class SeriesNumbers {
  readonly #database: PgDatabase;
  readonly #kids = new Map<string, number>();
  readonly #rids = new Map<string, number>();
  readonly #wids = new Map<string, number>();
  readonly #writers = new Map<number, string>();

  constructor(database: PgDatabase) {
    this.#database = database;
  }

  /** The numbers of metric keys of a workspace, allotted where need be. */
  async allotKeys(workspace: string, keys: readonly string[]): Promise<readonly number[]> {
    return this.#allot(
      this.#kids,
      keys.map((key) => ({ ...metricDict, workspace, key })),
      async (missing) => {
        const columns = [missing.map(kindOf), missing.map(facetOf), missing.map(keyOf)];
        const name = this.#database.name('kids_of');
        const [row] = await this.#database.write(
          `SELECT to_json(${name}($1, $2, $3, $4)) AS numbers`,
          [workspace, ...columns],
        );
        return JSON.parse(String(row?.['numbers'])) as number[];
      },
    );
  }

  /** The numbers of runs of a workspace, allotted where need be. */
  async allotOwners(workspace: string, owners: readonly string[]): Promise<readonly number[]> {
    return this.#allot(
      this.#rids,
      owners.map((key) => ({ workspace, kind: '', facet: '', key })),
      async (missing) => {
        const name = this.#database.name('rids_of');
        const [row] = await this.#database.write(`SELECT to_json(${name}($1, $2)) AS numbers`, [
          workspace,
          missing.map(keyOf),
        ]);
        return JSON.parse(String(row?.['numbers'])) as number[];
      },
    );
  }

  /** The number of a stream, allotted if need be: streams are numbered by the same dictionary. */
  async allotStream(workspace: string, stream: string, owner: string): Promise<number> {
    const named = { workspace, kind: 'stream', facet: stream, key: owner };
    const [kid] = await this.#allot(this.#kids, [named], async () => {
      const name = this.#database.name('kids_of');
      const [row] = await this.#database.write(
        `SELECT to_json(${name}($1, $2, $3, $4)) AS numbers`,
        [workspace, ['stream'], [stream], [owner]],
      );
      return JSON.parse(String(row?.['numbers'])) as number[];
    });
    return kid as number;
  }

  /** The number of a writer, allotted if need be. */
  async allotWriter(writer: string): Promise<number> {
    const known = this.#wids.get(writer);
    if (known !== undefined) return known;
    const name = this.#database.name('wid_of');
    const [row] = await this.#database.write(`SELECT ${name}($1) AS wid`, [writer]);
    const wid = Number(row?.['wid']);
    if (this.#wids.size >= cacheSize) this.#wids.clear();
    this.#wids.set(writer, wid);
    this.#rememberWriter(wid, writer);
    return wid;
  }

  /** The numbers of keys that there are, with the keys; all others of `keys` are left out. */
  async findKeys(
    transaction: PgTransaction,
    workspace: string,
    keys: readonly string[],
  ): Promise<ReadonlyMap<number, string>> {
    const rows = await transaction.query(
      `SELECT d.kid AS kid, d.key AS key FROM unnest($4::text[]) AS k (key)
       JOIN dict d ON d.ws = $1 AND d.kind = $2 AND d.facet = $3
         AND digest_of(d.key) = digest_of(k.key)`,
      [workspace, metricDict.kind, metricDict.facet, keys],
    );
    return new Map(rows.map((row) => [Number(row['kid']), String(row['key'])]));
  }

  /** The keys of numbers. */
  async keysOf(
    transaction: PgTransaction,
    kids: readonly number[],
  ): Promise<ReadonlyMap<number, string>> {
    const rows = await transaction.query(
      'SELECT kid, key FROM dict WHERE kid = ANY ($1::integer[])',
      [kids],
    );
    return new Map(rows.map((row) => [Number(row['kid']), String(row['key'])]));
  }

  /** The number of a stream; undefined where nothing was ever put into it. */
  async findStream(
    transaction: PgTransaction,
    workspace: string,
    stream: string,
    owner: string,
  ): Promise<number | undefined> {
    const [row] = await transaction.query(
      `SELECT kid FROM dict WHERE ws = $1 AND kind = 'stream' AND facet = $2
       AND digest_of(key) = digest_of($3)`,
      [workspace, stream, owner],
    );
    return row === undefined ? undefined : Number(row['kid']);
  }

  /** The numbers of runs that there are, with their ids. */
  async findOwners(
    transaction: PgTransaction,
    workspace: string,
    owners: readonly string[],
  ): Promise<ReadonlyMap<number, string>> {
    const rows = await transaction.query(
      'SELECT rid, id FROM entity WHERE ws = $1 AND id = ANY ($2::text[])',
      [workspace, owners],
    );
    return new Map(rows.map((row) => [Number(row['rid']), String(row['id'])]));
  }

  /** How these writers compare: as their ids do. */
  async writerOrder(transaction: PgTransaction, wids: Iterable<number>): Promise<CompareWriters> {
    const missing = [...new Set(wids)].filter((wid) => !this.#writers.has(wid));
    const texts = new Map<number, string>();
    if (missing.length > 0) {
      const rows = await transaction.query(
        'SELECT wid, writer FROM writer WHERE wid = ANY ($1::integer[])',
        [missing],
      );
      for (const row of rows) texts.set(Number(row['wid']), String(row['writer']));
    }
    for (const [wid, writer] of texts) this.#rememberWriter(wid, writer);
    const textOf = (wid: number): string => texts.get(wid) ?? this.#writers.get(wid) ?? '';
    return (a, b) => compareText(textOf(a), textOf(b));
  }

  #rememberWriter(wid: number, writer: string): void {
    if (this.#writers.size >= cacheSize) this.#writers.clear();
    this.#writers.set(wid, writer);
  }

  async #allot(
    known: Map<string, number>,
    named: readonly Named[],
    allot: (missing: readonly Named[]) => Promise<readonly number[]>,
  ): Promise<readonly number[]> {
    const missing = new Map(
      named.map((each) => [nameOf(each), each] as const).filter(([name]) => !known.has(name)),
    );
    const found = new Map<string, number>();
    if (missing.size > 0) {
      const numbers = await allot([...missing.values()]);
      [...missing.keys()].forEach((name, i) => {
        const number = numbers[i];
        if (number === undefined) throw new KeelsonError('INTERNAL', 'A series got no number.');
        found.set(name, number);
      });
    }
    const answer = named.map((each) => {
      const name = nameOf(each);
      return found.get(name) ?? known.get(name) ?? Number.NaN;
    });
    if (known.size + found.size > cacheSize) known.clear();
    for (const [name, number] of found) known.set(name, number);
    return answer;
  }
}

const kindOf = ({ kind }: Named): string => kind;
const facetOf = ({ facet }: Named): string => facet;
const keyOf = ({ key }: Named): string => key;

function nameOf({ workspace, kind, facet, key }: Named): string {
  return [workspace, kind, facet, key].join('\u0000');
}
