import { indexedLength } from './pg-dialect.ts';

/** 2^1024 less half a unit in the last place: from here on, decimal texts round to infinity. */
const overflowsFrom = (2n ** 1024n - 2n ** 970n).toString();

/** Up to 2^-1075, half of the least double, decimal texts round to 0. */
const vanishesUpTo = '2.4703282292062327208299195e-324';

/**
 * Functions that say of stored values what the query language means by them (`contracts/query.ts`): the
 * number that a text reads as, the text that JavaScript writes of a number, what lies at a path of a body.
 * They agree with `language/stored-value.ts` digit by digit.
 */
export const valueFunctions: readonly string[] = [
  `CREATE FUNCTION rest_of(value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $fn$
    SELECT CASE WHEN length(value) > ${indexedLength} THEN sha256(convert_to(value, 'UTF8')) ELSE '' END
    $fn$`,
  `CREATE FUNCTION number_of_text(value text) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $fn$
    DECLARE
      parts text[];
      whole text;
      fraction text;
      exponent integer;
      magnitude integer;
      exact numeric;
    BEGIN
      IF length(value) > 400
        OR value !~ '^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?$' THEN
        RETURN NULL;
      END IF;
      IF length(value) <= 15 AND value !~ '[eE]' THEN RETURN value::double precision; END IF;
      parts := regexp_match(value, '^[+-]?([0-9]*)\\.?([0-9]*)(?:[eE]([+-]?)0*([0-9]*))?$');
      whole := ltrim(parts[1], '0');
      fraction := parts[2];
      IF ltrim(whole || fraction, '0') = '' THEN RETURN 0; END IF;
      -- No mantissa of 400 digits brings an exponent of five digits back.
      exponent := CASE WHEN length(parts[4]) > 5 THEN 99999
        ELSE coalesce(nullif(parts[4], '')::integer, 0) END;
      IF parts[3] = '-' THEN exponent := -exponent; END IF;
      magnitude := exponent + CASE WHEN whole <> '' THEN length(whole)
        ELSE length(ltrim(fraction, '0')) - length(fraction) END;
      IF magnitude > 310 THEN RETURN NULL; END IF;
      IF magnitude < -330 THEN RETURN 0; END IF;
      exact := abs(value::numeric);
      IF exact >= ${overflowsFrom} THEN RETURN NULL; END IF;
      IF exact <= ${vanishesUpTo} THEN RETURN 0; END IF;
      RETURN value::double precision;
    END $fn$`,
  `CREATE FUNCTION text_of_number(value double precision) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET extra_float_digits TO 1 AS $fn$
    DECLARE
      parts text[];
      digits text;
      point integer;
      lower numeric;
      fits boolean[];
      sign text := CASE WHEN value < 0 THEN '-' ELSE '' END;
    BEGIN
      IF value = 0 THEN RETURN '0'; END IF;
      IF abs(value) = 'Infinity' THEN RETURN sign || 'Infinity'; END IF;
      IF value = 'NaN' THEN RETURN 'NaN'; END IF;
      parts := regexp_match(abs(value)::text, '^([0-9]+)(?:\\.([0-9]+))?(?:e([+-]?[0-9]+))?$');
      digits := parts[1] || coalesce(parts[2], '');
      point := length(parts[1]) + coalesce(parts[3], '0')::integer;
      point := point - (length(digits) - length(ltrim(digits, '0')));
      digits := trim(BOTH '0' FROM digits);
      -- PostgreSQL leaves out a shorter text that lies exactly between two numbers, even where it is read
      -- back as this one; JavaScript does not. Only near 2^54 there are such texts of so few digits.
      WHILE length(digits) >= 15 AND point BETWEEN 15 AND 30 LOOP
        lower := left(digits, -1)::numeric;
        SELECT array_agg(
            (n || 'e' || (point - length(digits) + 1))::double precision = abs(value) ORDER BY n)
          INTO fits FROM (VALUES (lower), (lower + 1)) AS v (n);
        EXIT WHEN NOT (fits[1] OR fits[2]);
        lower := CASE
          WHEN NOT fits[1] THEN lower + 1
          WHEN NOT fits[2] OR right(digits, 1) < '5' THEN lower
          WHEN right(digits, 1) > '5' THEN lower + 1
          ELSE lower + lower % 2 END;
        point := point + length(lower::text) - (length(digits) - 1);
        digits := rtrim(lower::text, '0');
      END LOOP;
      IF point BETWEEN length(digits) AND 21 THEN
        RETURN sign || rpad(digits, point, '0');
      ELSIF point BETWEEN 1 AND 21 THEN
        RETURN sign || left(digits, point) || '.' || substr(digits, point + 1);
      ELSIF point BETWEEN -5 AND 0 THEN
        RETURN sign || '0.' || repeat('0', -point) || digits;
      END IF;
      RETURN sign || left(digits, 1)
        || CASE WHEN length(digits) > 1 THEN '.' || substr(digits, 2) ELSE '' END
        || 'e' || CASE WHEN point > 0 THEN '+' ELSE '-' END || abs(point - 1);
    END $fn$`,
  // Keys that look like the tag of a number are stored with one more $, see encodeJson.
  `CREATE FUNCTION body_at(body jsonb, path text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $fn$
    DECLARE
      place jsonb := body;
      step text;
    BEGIN
      FOREACH step IN ARRAY path LOOP
        IF jsonb_typeof(place) <> 'object' THEN RETURN NULL; END IF;
        place := place -> CASE WHEN step ~ '^\\$+number$' THEN '$' || step ELSE step END;
        IF place IS NULL THEN RETURN NULL; END IF;
      END LOOP;
      RETURN place;
    END $fn$`,
  `CREATE FUNCTION body_number(body jsonb, path text[]) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $fn$
    DECLARE
      place jsonb := body_at(body, path);
    BEGIN
      CASE jsonb_typeof(place)
        WHEN 'number' THEN RETURN (place #>> '{}')::double precision;
        WHEN 'string' THEN RETURN number_of_text(place #>> '{}');
        WHEN 'object' THEN RETURN nullif(place ->> '$number', 'NaN')::double precision;
        ELSE RETURN NULL;
      END CASE;
    END $fn$`,
  `CREATE FUNCTION body_text(body jsonb, path text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $fn$
    DECLARE
      place jsonb := body_at(body, path);
    BEGIN
      CASE jsonb_typeof(place)
        WHEN 'string', 'boolean' THEN RETURN place #>> '{}';
        WHEN 'number' THEN RETURN text_of_number((place #>> '{}')::double precision);
        WHEN 'object' THEN RETURN CASE place ->> '$number' WHEN '-0' THEN '0' ELSE place ->> '$number' END;
        ELSE RETURN NULL;
      END CASE;
    END $fn$`,
  `CREATE FUNCTION body_sort_text(body jsonb, path text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $fn$
    DECLARE
      place jsonb := body_at(body, path);
    BEGIN
      IF jsonb_typeof(place) = 'boolean' THEN RETURN place #>> '{}'; END IF;
      IF jsonb_typeof(place) = 'string' AND number_of_text(place #>> '{}') IS NULL THEN
        RETURN place #>> '{}';
      END IF;
      RETURN NULL;
    END $fn$`,
  // A real column as encodeJson writes it; \`flag\` as columnInput gives it.
  `CREATE FUNCTION real_json(value double precision, flag smallint) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET extra_float_digits TO 1 AS $fn$
    SELECT CASE
      WHEN flag = 1 THEN '{"$number":"NaN"}'::jsonb
      WHEN flag = 2 THEN '{"$number":"-0"}'::jsonb
      WHEN value IN ('Infinity', '-Infinity') THEN jsonb_build_object('$number', value::text)
      ELSE to_jsonb(value)
    END $fn$`,
];
