import { KeelsonError } from '@keelson/core';
import { type NamedRoute, pathsOf, rowsOf } from './route.ts';

/** What lies at a path: rows by method, and the values of its parameters. */
export interface Found {
  readonly byMethod: ReadonlyMap<string, NamedRoute>;
  readonly params: Readonly<Record<string, string>>;
}

interface Place {
  readonly fixed: Map<string, Place>;
  /** One segment of any text. */
  any?: Place;
  /** All that follow. */
  rest?: Place;
  readonly byMethod: Map<string, { readonly route: NamedRoute; readonly names: readonly string[] }>;
}

/**
 * Finds rows by path. Fixed segments go before parameters, so that `versions/latest` is no version; where they lead
 * nowhere, parameters are tried, so that a pipeline may be called `runs`.
 */
export class RouteLookup {
  readonly #root: Place = newPlace();

  /** Throws for two rows of one method and path. */
  constructor(table: object) {
    for (const route of rowsOf(table)) {
      for (const path of pathsOf(route.row)) this.#add(path, route);
    }
  }

  /** Undefined where nothing lies. INVALID for a malformed escape. `path` is as it was sent, encoded. */
  find(path: string): Found | undefined {
    const segments = path.replace(/^\//, '').split('/').map(decode);
    const values: string[] = [];
    const place = walk(this.#root, segments, 0, values);
    if (place === undefined) return undefined;
    const byMethod = new Map([...place.byMethod].map(([method, { route }]) => [method, route]));
    const [first] = place.byMethod.values();
    const params = Object.fromEntries(
      (first?.names ?? []).map((name, i) => [name, values[i] ?? '']),
    );
    return { byMethod, params };
  }

  #add(path: string, route: NamedRoute): void {
    let place = this.#root;
    const names: string[] = [];
    for (const segment of path.replace(/^\//, '').split('/')) {
      const [, name, rest] = /^\{(\w+)(\+?)\}$/.exec(segment) ?? [];
      if (name === undefined) {
        const next = place.fixed.get(segment) ?? newPlace();
        place.fixed.set(segment, next);
        place = next;
        continue;
      }
      names.push(name);
      if (rest === '+') place = place.rest ??= newPlace();
      else place = place.any ??= newPlace();
    }
    const { method } = route.row;
    const others = [...place.byMethod.values()].some(({ names: had }) => `${had}` !== `${names}`);
    if (place.byMethod.has(method) || others)
      throw new KeelsonError('INTERNAL', `Two routes lie at ${method} ${path}.`);
    place.byMethod.set(method, { route, names });
  }
}

function newPlace(): Place {
  return { fixed: new Map(), byMethod: new Map() };
}

function walk(
  place: Place,
  segments: readonly string[],
  at: number,
  values: string[],
): Place | undefined {
  const segment = segments[at];
  if (segment === undefined) return place.byMethod.size > 0 ? place : undefined;
  const depth = values.length;
  const fixed = place.fixed.get(segment);
  const found = fixed && walk(fixed, segments, at + 1, values);
  if (found !== undefined || segment === '') return found;
  if (place.any !== undefined) {
    values.push(segment);
    const below = walk(place.any, segments, at + 1, values);
    if (below !== undefined) return below;
    values.length = depth;
  }
  if (place.rest === undefined) return undefined;
  values.push(segments.slice(at).join('/'));
  return place.rest;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    const message = `The path has a malformed escape in ${JSON.stringify(segment.slice(0, 60))}.`;
    throw new KeelsonError('INVALID', message, { cause });
  }
}
