import type { KindDeclaration } from '@keelson/core';
import {
  facetColumn,
  flagColumn,
  mergedFacets,
  recordColumn,
  recordTable,
} from '@keelson/core/sql';
import { indexedBeginning } from './pg-dialect.ts';

/** Raised when what this file generates changes: then every kind gets its functions anew. */
export const functionsVersion = 2;

const sqlTypes = {
  text: 'text',
  integer: 'bigint',
  real: 'double precision',
  boolean: 'smallint',
} as const;

/** A column of a record's table: one that is declared, or the flag of one. */
interface TableColumn {
  /** Quoted. */
  readonly name: string;
  readonly type: string;
  readonly immutable: boolean;
  /** The declared column that it belongs to. */
  readonly declared: string;
}

/** The columns of a kind's table that the declaration names. */
export function declaredColumns(kind: KindDeclaration): readonly TableColumn[] {
  return Object.entries(kind.columns).flatMap(([declared, { type, immutable }]) => {
    const column = (name: string, sqlType: string): TableColumn => ({
      name,
      type: sqlType,
      immutable: immutable === true,
      declared,
    });
    const own = column(recordColumn(declared), sqlTypes[type]);
    return type === 'real' ? [own, column(flagColumn(declared), 'smallint')] : [own];
  });
}

/** A text as an SQL literal. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A quoted column's name as the key that changes have it under. */
function keyOf(column: string): string {
  return literal(column.slice(1, -1));
}

function given({ name, type }: TableColumn, cols = 'v_cols'): string {
  const text = `(${cols} ->> ${keyOf(name)})`;
  return type === 'text' ? text : `${text}::${type}`;
}

/** The declared columns of the row \`alias\` as the history keeps them: as encodeJson writes them. */
function columnsJson(kind: KindDeclaration, alias: string): string {
  const pairs = Object.entries(kind.columns).map(([name, { type }]) => {
    const column = `${alias}.${recordColumn(name)}`;
    const value =
      type === 'boolean'
        ? `${column} = 1`
        : type === 'real'
          ? `real_json(${column}, ${alias}.${flagColumn(name)})`
          : column;
    return `${literal(name)}, ${value}`;
  });
  // A function takes 100 arguments.
  const parts: string[] = [];
  for (let i = 0; i < pairs.length; i += 40) {
    parts.push(`jsonb_build_object(${pairs.slice(i, i + 40).join(', ')})`);
  }
  return parts.length === 0 ? "'{}'::jsonb" : `jsonb_strip_nulls(${parts.join(' || ')})`;
}

/** A statement that changes a record's row, and keeps the revision that results if the kind keeps any. */
function kept(kind: KindDeclaration, statement: string, rev: string, removed: boolean): string {
  if (kind.history !== 'kept') return `${statement};`;
  return `WITH r AS (${statement} RETURNING *)
      INSERT INTO history
        (kind, rid, rev, at, principal, reason, correlation, columns, body, removed)
      SELECT ${literal(kind.name)}, r.rid, ${rev}, p_at, p_by, p_why, p_correlation,
        ${columnsJson(kind, 'r')}, r.body, ${removed} FROM r;`;
}

/** Of a restored record: each revision it comes with; this commit as one where it comes with none. */
function restored(kind: KindDeclaration, insert: string): string {
  if (kind.history !== 'kept') return `${insert};`;
  return `WITH r AS (${insert} RETURNING *)
      INSERT INTO history
        (kind, rid, rev, at, principal, reason, correlation, columns, body, removed)
      SELECT ${literal(kind.name)}, r.rid, h.rev, h.at, h.who, h.why, h.correlation,
        h.columns, h.body, false
      FROM r CROSS JOIN LATERAL (
        SELECT r.rev AS rev, p_at AS at, p_by AS who, p_why AS why, p_correlation AS correlation,
          ${columnsJson(kind, 'r')} AS columns, r.body AS body
        WHERE NOT p ? 'history'
        UNION ALL
        SELECT e.* FROM jsonb_to_recordset(p -> 'history') AS e
          (rev bigint, at bigint, who text, why text, correlation text, columns jsonb, body jsonb)
      ) h ORDER BY h.rev;`;
}

function createSql(kind: KindDeclaration, restores: boolean): string {
  const columns = declaredColumns(kind);
  const facets = mergedFacets(kind).map(facetColumn);
  const names = ['rid', 'ws', 'id', 'rev', 'created_at', 'updated_at', 'body'];
  const made = restores
    ? ['revision', 'createdAt', 'updatedAt'].map((name) => `(p ->> '${name}')::bigint`)
    : ['1', 'p_at', 'p_at'];
  const values = ['v_rid', 'p_ws', 'v_id', ...made, "p -> 'body'"];
  const insert = `INSERT INTO ${recordTable(kind.name)}
        (${[...names, ...columns.map(({ name }) => name), ...facets].join(', ')})
      VALUES (${[
        ...values,
        ...columns.map((column) => given(column)),
        ...facets.map((facet) => `coalesce(p -> 'facets' -> ${keyOf(facet)}, '{}')`),
      ].join(', ')})
      ON CONFLICT DO NOTHING`;
  return `v_rid := lock_entity(p_ws, v_id);
      LOOP
        ${restores ? restored(kind, insert) : kept(kind, insert, 'r.rev', false)}
        EXIT WHEN FOUND;
        v_tries := v_tries + 1;
        PERFORM taken_${kind.name}(p_ws, v_rid, v_id, v_cols, v_tries, true);
      END LOOP;
      PERFORM write_facets(v_rid, p);
      RETURN ${restores ? made[0] : 1};`;
}

function replaceSql(kind: KindDeclaration): string {
  const columns = declaredColumns(kind);
  const fixed = columns.filter(({ immutable }) => immutable);
  const fixedBody = kind.immutableBody === true;
  const read = ['rid', 'rev', ...fixed.map(({ name }) => name), ...(fixedBody ? ['body'] : [])];
  const checks = fixed.map(
    (column) => `IF v_cols ? ${keyOf(column.name)}
        AND ${given(column)} IS DISTINCT FROM v_old.${column.name} THEN
        PERFORM refuse('immutable', p || jsonb_build_object('part', ${literal(column.declared)}));
      END IF;`,
  );
  if (fixedBody) {
    checks.push(`IF p ? 'body' AND p -> 'body' <> v_old.body THEN
        PERFORM refuse('immutable', p);
      END IF;`);
  }
  const sets = columns
    .filter(({ immutable }) => !immutable)
    .map((column) => {
      const { name } = column;
      return `${name} = CASE WHEN v_cols ? ${keyOf(name)} THEN ${given(column)} ELSE t.${name} END`;
    });
  if (!fixedBody) sets.push("body = CASE WHEN p ? 'body' THEN p -> 'body' ELSE t.body END");
  const update = `UPDATE ${recordTable(kind.name)} AS t
      SET ${['rev = t.rev + 1', 'updated_at = p_at', ...sets].join(', ')}
      WHERE t.rid = v_old.rid`;
  return `SELECT ${read.join(', ')} INTO v_old FROM ${recordTable(kind.name)}
        WHERE ws = p_ws AND id = v_id FOR UPDATE;
      IF NOT FOUND THEN PERFORM refuse('missing', p); END IF;
      IF v_old.rev <> (p ->> 'expect')::bigint THEN
        PERFORM refuse('stale', p || jsonb_build_object('actual', v_old.rev));
      END IF;
      ${checks.join('\n      ')}
      ${guarded(kind, kept(kind, update, 'r.rev', false), 'v_old.rid')}
      RETURN v_old.rev + 1;`;
}

/** The update, and what is said where it meets a taken key. Only keys that change cost a savepoint. */
function guarded(kind: KindDeclaration, update: string, rid: string): string {
  const keys = new Set((kind.unique ?? []).flatMap(({ columns }) => columns.map(recordColumn)));
  const moving = declaredColumns(kind).filter(
    ({ name, immutable }) => !immutable && keys.has(name),
  );
  if (moving.length === 0) return update;
  return `IF v_cols ?| ARRAY[${moving.map(({ name }) => keyOf(name)).join(', ')}] THEN
        LOOP
          BEGIN
            ${update}
            EXIT;
          EXCEPTION WHEN unique_violation THEN
            v_tries := v_tries + 1;
            PERFORM taken_${kind.name}(p_ws, ${rid}, v_id, v_cols, v_tries, false);
          END;
        END LOOP;
      ELSE
        ${update}
      END IF;`;
}

function mergeSql(kind: KindDeclaration): string {
  const table = recordTable(kind.name);
  const facets = mergedFacets(kind).map((facet) => {
    const column = facetColumn(facet);
    const at = (part: string): string => `p -> '${part}' -> ${keyOf(column)}`;
    return `${column} = CASE WHEN p -> 'facets' ? ${keyOf(column)} OR p -> 'unset' ? ${keyOf(column)}
        THEN (t.${column} - ARRAY(SELECT jsonb_array_elements_text(${at('unset')})))
          || coalesce(${at('facets')}, '{}')
        ELSE t.${column} END`;
  });
  const change =
    facets.length === 0
      ? `SELECT rid, rev INTO v_old FROM ${table} WHERE ws = p_ws AND id = v_id FOR UPDATE;`
      : `UPDATE ${table} AS t SET ${facets.join(', ')} WHERE t.ws = p_ws AND t.id = v_id
        RETURNING t.rid, t.rev INTO v_old;`;
  return `${change}
      IF NOT FOUND THEN PERFORM refuse('missing', p); END IF;
      PERFORM write_facets(v_old.rid, p);
      RETURN v_old.rev;`;
}

function removeSql(kind: KindDeclaration): string {
  const table = recordTable(kind.name);
  const facets = mergedFacets(kind);
  const columns = ['rid', 'rev', ...facets.map(facetColumn)];
  const removals = facets.map(
    (facet) => `PERFORM remove_facets(p_ws, ${literal(kind.name)}, ${literal(facet)}, v_old.rid,
        v_old.${facetColumn(facet)});`,
  );
  const remove = `DELETE FROM ${table} AS t WHERE t.rid = v_old.rid`;
  return `SELECT ${columns.join(', ')} INTO v_old FROM ${table}
        WHERE ws = p_ws AND id = v_id FOR UPDATE;
      IF NOT FOUND OR v_old.rev <> (p ->> 'expect')::bigint THEN
        PERFORM refuse('stale', p || jsonb_build_object('actual', v_old.rev));
      END IF;
      ${removals.join('\n      ')}
      DELETE FROM claim WHERE kind = ${literal(kind.name)} AND rid = v_old.rid;
      ${kept(kind, remove, 'r.rev + 1', true)}
      RETURN 0;`;
}

function assertSql(kind: KindDeclaration): string {
  return `IF p ->> 'expect' = 'absent' THEN PERFORM lock_entity(p_ws, v_id); END IF;
      SELECT rev INTO v_rev FROM ${recordTable(kind.name)}
        WHERE ws = p_ws AND id = v_id FOR SHARE;
      IF v_rev IS NULL AND p ->> 'expect' = 'absent' THEN RETURN 0; END IF;
      IF p ->> 'expect' = 'absent' OR v_rev IS DISTINCT FROM (p ->> 'expect')::bigint THEN
        PERFORM refuse('stale', p || jsonb_build_object('actual', v_rev));
      END IF;
      RETURN v_rev;`;
}

/**
 * Says which key is taken, and by whom. Where nobody has it any more it returns, and the change is tried
 * again; where that does not help, a key is taken which no declaration has any more.
 */
function takenSql(kind: KindDeclaration): string {
  const table = recordTable(kind.name);
  const keys = (kind.unique ?? []).map((key) => {
    const same = key.columns.map((name) => {
      const column = recordColumn(name);
      if (name === 'id') return 't.id = p_id';
      const own = `(SELECT o.${column} FROM ${table} o WHERE o.rid = p_rid)`;
      const declared = declaredColumns(kind).find((one) => one.name === column);
      if (declared === undefined) return `t.${column} = ${own}`;
      const value = `(CASE WHEN p_cols ? ${keyOf(column)} THEN ${given(declared, 'p_cols')} ELSE ${own} END)`;
      const exact = `t.${column} = ${value}`;
      if (declared.type !== 'text') return exact;
      return `${indexedBeginning(`t.${column}`)} = ${indexedBeginning(value)} AND ${exact}`;
    });
    return `SELECT t.id INTO v_taker FROM ${table} t
        WHERE t.ws = p_ws AND t.rid <> p_rid AND ${same.join(' AND ')} LIMIT 1;
      IF FOUND THEN
        PERFORM refuse('taken', jsonb_build_object('kind', ${literal(kind.name)}, 'id', p_id,
          'unique', ${literal(key.name)}, 'by', v_taker));
      END IF;`;
  });
  return `CREATE OR REPLACE FUNCTION taken_${kind.name}(
      p_ws text, p_rid bigint, p_id text, p_cols jsonb, p_tries integer, p_new boolean)
    RETURNS void LANGUAGE plpgsql AS $fn$
    DECLARE
      v_taker text;
    BEGIN
      IF p_new AND EXISTS (SELECT 1 FROM ${table} t WHERE t.rid = p_rid) THEN
        PERFORM refuse('there', jsonb_build_object('kind', ${literal(kind.name)}, 'id', p_id));
      END IF;
      ${keys.join('\n      ')}
      IF p_tries > 3 THEN
        PERFORM refuse('taken', jsonb_build_object('kind', ${literal(kind.name)}, 'id', p_id));
      END IF;
    END $fn$`;
}

/** The statements that make the functions of one kind. */
export function kindFunctions(kind: KindDeclaration): readonly string[] {
  return [
    takenSql(kind),
    `CREATE OR REPLACE FUNCTION apply_${kind.name}(
      p_ws text, p_at bigint, p_by text, p_why text, p_correlation text, p jsonb)
    RETURNS bigint LANGUAGE plpgsql AS $fn$
    DECLARE
      v_id text := p ->> 'id';
      v_cols jsonb := coalesce(p -> 'columns', '{}');
      v_rid bigint;
      v_rev bigint;
      v_tries integer := 0;
      v_old record;
    BEGIN
      CASE p ->> 'op'
      WHEN 'create' THEN
      ${createSql(kind, false)}
      WHEN 'restore' THEN
      ${createSql(kind, true)}
      WHEN 'replace' THEN
      ${replaceSql(kind)}
      WHEN 'merge' THEN
      ${mergeSql(kind)}
      WHEN 'remove' THEN
      ${removeSql(kind)}
      WHEN 'assert' THEN
      ${assertSql(kind)}
      END CASE;
    END $fn$`,
  ];
}

/** The statement that makes the function which finds the function of a change's kind. */
export function dispatchFunction(kinds: readonly string[]): string {
  const cases = kinds.map(
    (kind) => `WHEN ${literal(kind)} THEN
        RETURN apply_${kind}(p_ws, p_at, p_by, p_why, p_correlation, p);`,
  );
  return `CREATE OR REPLACE FUNCTION apply_change(
      p_ws text, p_at bigint, p_by text, p_why text, p_correlation text, p jsonb)
    RETURNS bigint LANGUAGE plpgsql AS $fn$
    BEGIN
      CASE p ->> 'kind'
      ${cases.join('\n      ')}
      END CASE;
    END $fn$`;
}
