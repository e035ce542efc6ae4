import { invalid, requireCount, requireFinite, requirePositive } from '../arguments.ts';
import { type Moments, momentsOf, sampleVariance } from '../descriptive/moments.ts';
import { type AdwinState, adwin } from './adwin.ts';
import {
  bayesianChangePoint,
  type ChangePointState,
  changeWithin,
  likeliestRun,
} from './bayesian-change-point.ts';
import { type CusumState, cusum } from './cusum.ts';
import { type DdmState, ddm } from './ddm.ts';
import { addToBlocks, type LossBlock, type LossBlocks, noBlocks } from './loss-blocks.ts';
import { type PageHinkleyState, pageHinkley } from './page-hinkley.ts';
import { cusumThreshold } from './run-length.ts';

/** How losses are watched. */
export interface LossWatchOptions {
  /** Losses from which mean and deviation are taken, then frozen; 500 by default. */
  readonly warmUp?: number;
  /** A detector raises a false alarm about once in so many losses, as far as that can be set; 200,000 by default. */
  readonly runLength?: number;
  /** A change is one that so many detectors find; 2 by default. */
  readonly agreeing?: number;
  /** What was found counts for so many losses; 1,000 by default. */
  readonly horizon?: number;
}

/** One loss, with the time of the event that it is of. */
export interface TimedLoss {
  readonly at: number;
  readonly loss: number;
}

/** Which detector. */
export type LossDetector = 'page-hinkley' | 'cusum' | 'ddm' | 'adwin' | 'change-point';

/** A change that a detector found. Plain JSON. */
export type FoundChange = {
  readonly detector: LossDetector;
  /** Losses rise, or fall. */
  readonly direction: 'up' | 'down';
  /** The loss at which it was found, from 0, and its time. */
  readonly index: number;
  readonly at: number;
  /** The likeliest time of the change, where the detector tells one. */
  readonly changedAt?: number;
};

/** What is known of the losses so far. Plain JSON: store it, go on with it later, and the answers are the same, bit for bit. */
export type LossWatchState = {
  readonly options: Required<LossWatchOptions>;
  readonly count: number;
  /** Losses of the warm-up; emptied when it is over. */
  readonly first: readonly number[];
  readonly reference: LossReference | null;
  readonly pageHinkley: PageHinkleyState;
  readonly cusum: CusumState;
  readonly down: CusumState;
  readonly ddm: DdmState | null;
  readonly adwin: AdwinState;
  readonly changePoint: { readonly state: ChangePointState; readonly quietFor: number };
  /** The block that is being filled, for the change points. */
  readonly open: { readonly at: number; readonly losses: readonly number[] };
  /** The whole history in at most 128 blocks. */
  readonly blocks: LossBlocks;
  /** The last find of each detector in each direction. */
  readonly finds: readonly FoundChange[];
  /** How often each detector found something. */
  readonly counts: Readonly<Partial<Record<LossDetector, number>>>;
  /** Set while enough detectors agree. */
  readonly change: LossChange | null;
};

/** The losses of the warm-up, and how losses are standardised by them. Plain JSON. */
export type LossReference = Moments & {
  readonly deviation: number;
  readonly isBinary: boolean;
  /** Mean and deviation once what lies far out is cut off. */
  readonly centre: number;
  readonly scale: number;
};

/** A change on which detectors agree. Plain JSON. */
export type LossChange = {
  readonly direction: 'up' | 'down';
  /** When it was agreed on, and since when losses are likely to have changed. */
  readonly foundAt: number;
  readonly foundIndex: number;
  readonly since: number;
  readonly detectors: readonly LossDetector[];
};

/** Of the CUSUM, in deviations: about half of the smallest change that matters. */
const slack = 0.2;
/** Losses in a block of the change points. */
const blockSize = 25;
/** In blocks. */
const hazard = 1 / 400;
const within = 8;

/** Watches losses in the order of their events by several detectors at once. Feed it batch by batch: the cut does not matter. */
export const lossWatch: {
  init(options?: LossWatchOptions): LossWatchState;
  update(state: LossWatchState, losses: Iterable<TimedLoss>): LossWatchState;
} = {
  init({ warmUp = 500, runLength = 200_000, agreeing = 2, horizon = 1000 } = {}) {
    requireCount('warmUp', warmUp);
    if (warmUp < 30) throw invalid('warmUp', warmUp, 'at least 30');
    requirePositive('runLength', runLength);
    requireCount('agreeing', agreeing);
    requireCount('horizon', horizon);
    return {
      options: { warmUp, runLength, agreeing, horizon },
      count: 0,
      first: [],
      reference: null,
      pageHinkley: pageHinkley.init({ delta: 0.1, threshold: 60, keep: 1 }),
      cusum: cusum.init({ baseline: { mean: 0, deviation: 1 } }),
      down: cusum.init({ baseline: { mean: 0, deviation: 1 } }),
      ddm: null,
      adwin: adwin.init({ delta: 1e-4 }),
      changePoint: { state: bayesianChangePoint.init({ hazard, most: 100 }), quietFor: 0 },
      open: { at: 0, losses: [] },
      blocks: noBlocks,
      finds: [],
      counts: {},
      change: null,
    };
  },

  update(before, losses) {
    let state = before;
    for (const { at, loss } of losses) {
      requireFinite('at', at);
      requireFinite('loss', loss);
      state = state.reference === null ? warmedUp(state, at, loss) : watched(state, at, loss);
    }
    return state;
  },
};

/** Takes a loss into the reference; with the last one, the detectors begin. */
function warmedUp(state: LossWatchState, at: number, loss: number): LossWatchState {
  const first = [...state.first, loss];
  const blocks = addToBlocks(state.blocks, at, loss);
  const count = state.count + 1;
  if (first.length < state.options.warmUp) return { ...state, count, first, blocks };
  const moments = momentsOf(first);
  const isBinary = first.every((value) => value === 0 || value === 1);
  // Errors that were never seen may come all the same.
  const likely = (moments.mean * moments.count + 0.5) / (moments.count + 1);
  const measured = Math.sqrt(sampleVariance(moments));
  const smallest = Math.max(Math.abs(moments.mean) * 1e-6, 1e-12);
  const deviation = isBinary
    ? Math.max(measured, Math.sqrt(likely * (1 - likely)))
    : Math.max(measured, measured > 0 ? smallest : Math.max(Math.abs(moments.mean), 1e-12));
  const cut = momentsOf(first.map((value) => cutOff((value - moments.mean) / deviation)));
  const spread = Math.sqrt(sampleVariance(cut));
  const [centre, scale] = [cut.mean, spread > 0 ? spread : 1];
  const standard: LossReference = { ...moments, deviation, isBinary, centre, scale };
  const standardised = first.map((value) => standardise(standard, value));
  const { runLength } = state.options;
  const of = (values: readonly number[]): CusumState =>
    cusum.init({
      slack,
      threshold: Math.max(8, cusumThreshold(values, slack, runLength) ?? 0),
      baseline: { mean: 0, deviation: 1 },
    });
  return {
    ...state,
    ...{ count, blocks, first: [], reference: standard },
    cusum: of(standardised),
    down: of(standardised.map((z) => -z)),
    ddm: isBinary ? ddm.init({ warmUp: 200, drift: 4 }) : null,
  };
}

/** A single loss counts as at most so many deviations: the detectors are made for tails that are not heavy. */
function cutOff(z: number): number {
  return Math.max(-4, Math.min(4, z));
}

function standardise({ mean, deviation, centre, scale }: LossReference, loss: number): number {
  return (cutOff((loss - mean) / deviation) - centre) / scale;
}

function watched(state: LossWatchState, at: number, loss: number): LossWatchState {
  const { reference, options } = state;
  if (reference === null) return state;
  const index = state.count;
  const z = standardise(reference, loss);
  const finds: FoundChange[] = [];
  const found = (detector: LossDetector, direction: 'up' | 'down', changedAt?: number): void => {
    finds.push({
      detector,
      direction,
      index,
      at,
      ...(changedAt === undefined ? {} : { changedAt }),
    });
  };
  const hinkley = pageHinkley.update(state.pageHinkley, z);
  if (hinkley.signal === 'drift') found('page-hinkley', hinkley.up >= hinkley.down ? 'up' : 'down');
  const up = cusum.update(state.cusum, z);
  if (up.signal === 'drift' && up.up > up.options.threshold) found('cusum', 'up');
  const down = cusum.update(state.down, -z);
  if (down.signal === 'drift' && down.up > down.options.threshold) found('cusum', 'down');
  const errors =
    state.ddm !== null && (loss === 0 || loss === 1) ? ddm.update(state.ddm, loss) : null;
  if (errors?.signal === 'drift') found('ddm', 'up');
  const window = adwin.update(state.adwin, z);
  if (window.signal === 'drift') {
    const was = state.adwin.total / Math.max(1, state.adwin.width);
    found('adwin', window.total / Math.max(1, window.width) > was ? 'up' : 'down');
  }
  const { open, changePoint, change } = changePoints(state, at, z);
  if (change !== undefined) found('change-point', change.direction, change.changedAt);
  const next = {
    ...state,
    ...{ count: index + 1, pageHinkley: hinkley, cusum: up, down, ddm: errors, adwin: window },
    ...{ open, changePoint },
    blocks: addToBlocks(state.blocks, at, loss),
  };
  if (finds.length === 0 && next.change === null) return next;
  return agreed(finds.length === 0 ? next : withFinds(next, finds), index, at, options);
}

/** Every full block of losses is one value of the change points, scaled to deviation 1. */
function changePoints(
  { open, changePoint, blocks }: LossWatchState,
  at: number,
  z: number,
): Pick<LossWatchState, 'open' | 'changePoint'> & {
  readonly change?: { readonly direction: 'up' | 'down'; readonly changedAt: number };
} {
  const losses = [...open.losses, z];
  const filled = { at: losses.length === 1 ? at : open.at, losses };
  if (losses.length < blockSize) return { open: filled, changePoint };
  const mean = losses.reduce((sum, each) => sum + each, 0) / blockSize;
  const state = bayesianChangePoint.update(changePoint.state, mean * Math.sqrt(blockSize));
  const quietFor = changePoint.quietFor + 1;
  const emptied = { open: { at: 0, losses: [] }, changePoint: { state, quietFor } };
  const run = likeliestRun(state);
  const isChange =
    quietFor > 2 * within && run.length <= within && changeWithin(state, within) > 0.99;
  if (!isChange) return emptied;
  const level = run.law[0] ?? 0;
  const earlier = state.runs.reduce((longest, each) =>
    each.length > longest.length ? each : longest,
  );
  const direction = level > (earlier.law[0] ?? 0) ? 'up' : 'down';
  const changedAt = timeBack(blocks, run.length * blockSize) ?? at;
  return {
    ...emptied,
    changePoint: { state, quietFor: 0 },
    change: { direction, changedAt },
  };
}

/** The time of the block that lies so many losses back. */
function timeBack({ list }: LossBlocks, losses: number): number | undefined {
  let left = losses;
  for (let i = list.length - 1; i >= 0; i -= 1) {
    const block = list[i] as LossBlock;
    left -= block.count;
    if (left <= 0) return block.at;
  }
  return list[0]?.at;
}

function withFinds(state: LossWatchState, finds: readonly FoundChange[]): LossWatchState {
  const isOf = (a: FoundChange, b: FoundChange): boolean =>
    a.detector === b.detector && a.direction === b.direction;
  const counts = { ...state.counts };
  for (const { detector } of finds) counts[detector] = (counts[detector] ?? 0) + 1;
  const kept = state.finds.filter((each) => !finds.some((find) => isOf(find, each)));
  return { ...state, counts, finds: [...kept, ...finds] };
}

/** Begins a change where enough detectors agree, and ends it where none finds anything and losses are as they were. */
function agreed(
  state: LossWatchState,
  index: number,
  at: number,
  { agreeing, horizon }: Required<LossWatchOptions>,
): LossWatchState {
  const { change, finds } = state;
  const fresh = finds.filter((find) => index - find.index < horizon);
  for (const direction of ['up', 'down'] as const) {
    if (change?.direction === direction) continue;
    // After a turn, only what was found since speaks for it.
    const votes = fresh.filter(
      (find) => find.direction === direction && find.index > (change?.foundIndex ?? -1),
    );
    if (votes.length < agreeing) continue;
    const told = votes.flatMap(({ changedAt }) => changedAt ?? []);
    const since = told.length > 0 ? Math.min(...told) : Math.min(...votes.map((vote) => vote.at));
    const detectors = votes.map(({ detector }) => detector).sort();
    return {
      ...state,
      change: { direction, foundAt: at, foundIndex: index, since, detectors },
    };
  }
  if (change === null || index % blockSize !== 0) return state;
  const goesOn = fresh.some(({ direction }) => direction === change.direction);
  return goesOn || !isAsBefore(state, horizon) ? state : { ...state, change: null };
}

/** Whether the mean of the last losses is within three standard errors of the reference. */
function isAsBefore({ reference, blocks }: LossWatchState, losses: number): boolean {
  if (reference === null) return true;
  let [count, sum] = [0, 0];
  for (let i = blocks.list.length - 1; i >= 0 && count < losses; i -= 1) {
    const block = blocks.list[i] as LossBlock;
    count += block.count;
    sum += block.count * block.mean;
  }
  const error = reference.deviation * Math.sqrt(1 / count + 1 / reference.count);
  return Math.abs(sum / count - reference.mean) <= 3 * error;
}
