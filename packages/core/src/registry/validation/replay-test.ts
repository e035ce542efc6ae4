import type { Json, JsonObject } from '../../json.ts';
import { wilsonInterval } from '../../statistics/index.ts';
import { differenceOf } from './golden-test.ts';
import type { ReplayFigures } from './report.ts';
import type { ReplayTest } from './suite.ts';
import type { TestContext, Verdict } from './test-context.ts';
import { messageOf, TestFault } from './test-fault.ts';
import type { TestedModel } from './tested-model.ts';

const shown = 20;

/** Asks requests of production of this version and of the one in production, and compares. */
export async function runReplay(context: TestContext, test: ReplayTest): Promise<Verdict> {
  const { maxRequests = 1000, minRequests = 1, maxDifferentShare } = test;
  const production = await context.production();
  if ('none' in production) return { outcome: 'SKIPPED', detail: production.none };
  const requests = await context.sampledRequests(maxRequests);
  if (requests.length < minRequests || requests.length === 0) {
    throw new TestFault(
      `${requests.length} requests were handed in; at least ${minRequests} are wanted`,
    );
  }
  const rows = requests.map(({ features }) => features);
  const { signature } = context.model;
  const mine = await context.model.predictRows(rows);
  const theirs = await predictAs(production, rows);
  const names = signature.outputs
    .map(({ name }) => name)
    .filter((name) => production.model.signature.outputs.some((each) => each.name === name));
  if (names.length === 0) {
    throw new TestFault(`it has no output in common with ${production.version} in production`);
  }
  const pairs = rows.map((_, i) => ({
    request: requests[i]?.requestId ?? String(i + 1),
    candidate: mine[i] as JsonObject,
    production: Object.fromEntries(
      names.map((name) => [name, (theirs[i] as JsonObject)[name] as Json]),
    ),
  }));
  const found = pairs.flatMap(({ request, candidate, production: expected }) => {
    const difference = differenceOf(signature, expected, candidate, test);
    if (difference === undefined) return [];
    const { place, expected: was, actual } = difference;
    return [{ request, place, production: was, candidate: actual }];
  });
  const share = found.length / pairs.length;
  const figures: ReplayFigures = {
    ...{ test: 'replay', requests: pairs.length, differing: found.length, share },
    interval: wilsonInterval({ successes: found.length, trials: pairs.length }, 0.05),
    productionVersion: production.version,
    outputs: names.map((output) => ({
      output,
      differing: pairs.filter(
        ({ candidate, production: expected }) =>
          differenceOf(signature, { [output]: expected[output] as Json }, candidate, test) !==
          undefined,
      ).length,
      ...gapsOf(pairs.map((pair) => [pair.production[output], pair.candidate[output]] as const)),
    })),
    differences: found.slice(0, shown),
  };
  const percent = (part: number): string => `${(100 * part).toFixed(2)} %`;
  const detail = `${found.length} of ${pairs.length} requests (${percent(share)}) are answered otherwise than by ${production.version} in production, allowed ${percent(maxDifferentShare)}`;
  return { outcome: share <= maxDifferentShare ? 'PASSED' : 'FAILED', detail, figures };
}

async function predictAs(
  { version, model }: { readonly version: string; readonly model: TestedModel },
  rows: readonly JsonObject[],
): Promise<readonly JsonObject[]> {
  try {
    return await model.predictRows(rows);
  } catch (error) {
    if (!(error instanceof TestFault)) throw error;
    throw new TestFault(`version ${version}, in production: ${messageOf(error)}`, { cause: error });
  }
}

/** How far apart the numbers of an output are. */
function gapsOf(pairs: readonly (readonly [Json | undefined, Json | undefined])[]): {
  readonly meanGap: number | null;
  readonly largestGap: number | null;
} {
  const gaps = pairs.flatMap(([a, b]) => {
    const [left, right] = [numbersIn(a), numbersIn(b)];
    return left.flatMap((value, i) => {
      const gap = Math.abs(value - (right[i] ?? Number.NaN));
      return Number.isFinite(gap) ? [gap] : [];
    });
  });
  if (gaps.length === 0) return { meanGap: null, largestGap: null };
  const sum = gaps.reduce((total, gap) => total + gap, 0);
  return { meanGap: sum / gaps.length, largestGap: gaps.reduce((a, b) => Math.max(a, b), 0) };
}

function numbersIn(value: Json | undefined): readonly number[] {
  if (typeof value === 'number') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((item) => numbersIn(item as Json));
}
