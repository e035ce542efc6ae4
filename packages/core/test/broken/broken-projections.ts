import type { SummaryFigure } from '../../src/contracts/query.ts';
import type { PointBatch } from '../../src/contracts/series-store.ts';
import type { Figures } from '../../src/language/select-value.ts';
import { ProjectingWorld } from '../reference-projection.ts';

/** A world whose projected facets have one fault, and the one case that must find it. */
export interface BrokenProjection {
  readonly breaks: string;
  readonly how: string;
  readonly world: () => ProjectingWorld;
}

type FiguresOf = (workspace: string, owner: string) => Readonly<Record<string, Figures>>;

/** A world that shows other figures than there are. */
function showing(
  show: (figures: Figures, key: string, owner: string) => Figures | undefined,
): () => ProjectingWorld {
  return () => {
    const world = new ProjectingWorld();
    const real: FiguresOf = world.metricsOf.bind(world);
    world.metricsOf = (workspace, owner) => {
      const entries = Object.entries(real(workspace, owner)).flatMap(([key, figures]) => {
        const shown = show(figures, key, owner);
        return shown === undefined ? [] : [[key, shown] as const];
      });
      return Object.fromEntries(entries);
    };
    return world;
  };
}

const swapped = (figures: Figures, a: SummaryFigure, b: SummaryFigure): Figures => ({
  ...figures,
  ...(figures[b] === undefined ? {} : { [a]: figures[b] }),
});

class LateWorld extends ProjectingWorld {
  #late: PointBatch | undefined;

  // The newest batch is seen with the next one, but for the first of a story.
  override append(batch: PointBatch): void {
    const { key } = batch.series[0] ?? { key: '' };
    if (!/^m[2-9]$/.test(key)) {
      super.append(batch);
      return;
    }
    if (this.#late !== undefined) super.append(this.#late);
    this.#late = batch;
  }
}

class OpenWorld extends ProjectingWorld {
  override metricsOf(workspace: string, owner: string): Readonly<Record<string, Figures>> {
    return { ...super.metricsOf('away', owner), ...super.metricsOf(workspace, owner) };
  }
}

class StrictWorld extends ProjectingWorld {
  override append(batch: PointBatch): void {
    const known = batch.series.every(({ workspace, owner }) =>
      [...this.state.records.values()].some(
        (one) => one.workspace === workspace && one.id === owner,
      ),
    );
    if (known || batch.series.some(({ workspace }) => workspace === 'away')) super.append(batch);
  }
}

export const brokenProjections: readonly BrokenProjection[] = [
  {
    breaks: 'projected: the facet holds the last value of each metric',
    how: 'the key __proto__ is lost',
    world: showing((figures, key) => (key === '__proto__' ? undefined : figures)),
  },
  {
    breaks: 'projected: a metric compares by its last value',
    how: 'a metric compares by what it was when it was highest',
    world: showing((figures) =>
      figures.count === 2 && figures.first === 9 && figures.last === 1
        ? swapped(figures, 'last', 'max')
        : figures,
    ),
  },
  {
    breaks: 'projected: figures of a metric compare',
    how: 'the mean is that of the first and the last',
    world: showing((figures) =>
      figures.count === 3
        ? { ...figures, mean: ((figures.first ?? 0) + (figures.last ?? 0)) / 2 }
        : figures,
    ),
  },
  {
    breaks: 'projected: a search sees every point that was appended before',
    how: 'the newest flush is not seen',
    world: () => new LateWorld(),
  },
  {
    breaks: 'projected: a metric that was not logged is missing',
    how: 'without a number the lowest value is 0',
    world: showing((figures) => (figures.min === undefined ? { ...figures, min: 0 } : figures)),
  },
  {
    breaks: 'projected: NaN and infinities compare as elsewhere',
    how: 'infinities are the greatest doubles',
    world: showing((figures) =>
      figures.last === Number.POSITIVE_INFINITY
        ? { ...figures, last: Number.MAX_VALUE, max: Number.MAX_VALUE }
        : figures,
    ),
  },
  {
    breaks: 'projected: NaN and infinities compare as elsewhere',
    how: 'NaN is stored as 0',
    world: showing((figures, key) =>
      key === 'loss' &&
      Number.isNaN(figures.last) &&
      figures.first === 1 &&
      figures.max === 1 &&
      figures.count === 2
        ? { ...figures, last: 0 }
        : figures,
    ),
  },
  {
    breaks: 'projected: records sort by metrics and their figures',
    how: 'the first value is the last where there are two',
    world: showing((figures) =>
      figures.first === 8 ? swapped(figures, 'first', 'last') : figures,
    ),
  },
  {
    breaks: "projected: another workspace's points are not seen",
    how: 'points go by the id alone',
    world: () => new OpenWorld(),
  },
  {
    breaks: 'projected: points may come before their record',
    how: 'points without a record are dropped',
    world: () => new StrictWorld(),
  },
];
