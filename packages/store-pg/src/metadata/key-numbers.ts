import { KeelsonError, type KindDeclaration } from '@keelson/core';
import { type FacetKey, metricDict } from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgTransaction } from '../connection/pg-server.ts';

const cacheSize = 100_000;

/** The numbers of facet keys (`dict`), which mean the same for ever: kept in the process. */
export class KeyNumbers {
  readonly #database: PgDatabase;
  readonly #kids = new Map<string, number>();

  constructor(database: PgDatabase) {
    this.#database = database;
  }

  /** The numbers of the keys in one workspace, allotted where need be: committed when this resolves. */
  async allot(
    workspace: string,
    kind: KindDeclaration,
    keys: readonly FacetKey[],
  ): Promise<readonly number[]> {
    const missing = new Map(
      keys
        .map((key) => [cacheKey(workspace, kind, key), key] as const)
        .filter(([name]) => !this.#kids.has(name)),
    );
    const found = new Map<string, number>();
    if (missing.size > 0) {
      const dictionary = [...missing.values()].map((key) => dictionaryKey(kind, key));
      const [row] = await this.#database.write(
        `SELECT to_json(${this.#database.name('kids_of')}($1, $2, $3, $4)) AS kids`,
        [workspace, ...columns(dictionary)],
      );
      const kids = JSON.parse(String(row?.['kids'])) as number[];
      [...missing.keys()].forEach((name, i) => {
        const kid = kids[i];
        if (kid === undefined) throw new KeelsonError('INTERNAL', 'A facet key got no number.');
        found.set(name, kid);
        this.#remember(name, kid);
      });
    }
    return keys.map((key) => {
      const name = cacheKey(workspace, kind, key);
      return found.get(name) ?? this.#kids.get(name) ?? Number.NaN;
    });
  }

  /**
   * Reads the numbers of the keys that a query names; of all workspaces where none is given. A key that
   * no record has ever had has none.
   */
  async read(
    transaction: PgTransaction,
    workspace: string | undefined,
    kind: KindDeclaration,
    keys: readonly FacetKey[],
  ): Promise<(facet: string, key: string) => readonly number[]> {
    const numbers = new Map<string, number[]>();
    const missing: FacetKey[] = [];
    for (const key of keys) {
      const known = this.#kids.get(cacheKey(workspace ?? '', kind, key));
      if (known === undefined) missing.push(key);
      else numbers.set(cacheKey('', kind, key), [known]);
    }
    if (missing.length > 0) {
      const rows = await transaction.query(
        `SELECT k.n::integer AS n, d.kid AS kid
         FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (kind, facet, key, n)
         JOIN dict d ON d.kind = k.kind AND d.facet = k.facet
           AND digest_of(d.key) = digest_of(k.key) AND ($1::text IS NULL OR d.ws = $1::text)`,
        [workspace ?? null, ...columns(missing.map((key) => dictionaryKey(kind, key)))],
      );
      for (const row of rows) {
        const key = missing[Number(row['n']) - 1];
        if (key === undefined) continue;
        const kid = Number(row['kid']);
        const name = cacheKey('', kind, key);
        numbers.set(name, [...(numbers.get(name) ?? []), kid]);
        if (workspace !== undefined) this.#remember(cacheKey(workspace, kind, key), kid);
      }
    }
    return (facet, key) => numbers.get(cacheKey('', kind, { facet, key })) ?? [];
  }

  #remember(name: string, kid: number): void {
    if (name.length > 1_000) return;
    if (this.#kids.size >= cacheSize) this.#kids.clear();
    this.#kids.set(name, kid);
  }
}

/** Whether the facet is a projection of metric summaries. */
export function isProjected(kind: KindDeclaration, facet: string): boolean {
  return kind.facets?.[facet]?.source === 'projected';
}

interface DictionaryKey extends FacetKey {
  readonly kind: string;
}

function dictionaryKey(kind: KindDeclaration, { facet, key }: FacetKey): DictionaryKey {
  return isProjected(kind, facet) ? { ...metricDict, key } : { kind: kind.name, facet, key };
}

function columns(keys: readonly DictionaryKey[]): string[][] {
  return [keys.map(({ kind }) => kind), keys.map(({ facet }) => facet), keys.map(({ key }) => key)];
}

/** Parts joined by NUL, which no text that is stored contains. */
function cacheKey(workspace: string, kind: KindDeclaration, { facet, key }: FacetKey): string {
  return [workspace, kind.name, facet, key].join('\u0000');
}
