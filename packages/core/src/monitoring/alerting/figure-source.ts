import { KeelsonError } from '../../errors.ts';
import type { DriftKind } from '../../events/catalogue/alert-events.ts';
import type { Labels } from './matchers.ts';

/** What a source is asked for: figures of a deployment from `from` on and before `to`, in epoch ms. */
export interface FigureQuery {
  readonly deploymentId: string;
  /** The deployment's name. */
  readonly deployment: string;
  readonly names: readonly string[];
  readonly from: number;
  readonly to: number;
}

/** A figure as it was over a while. */
export interface Figure {
  readonly name: string;
  /** Missing where there is not enough data. */
  readonly value?: number;
  /** From how many entries. */
  readonly count: number;
  /** What it is of beside the deployment: `feature`, `segment`, `version`. */
  readonly labels?: Labels;
  /** What it may be by chance alone with so many entries: less than that is no finding. */
  readonly chance?: number;
  /** How far it usually is from its middle (one standard deviation), where that is known. */
  readonly noise?: number;
  /** Features that carry it, the heaviest first. */
  readonly features?: readonly string[];
  /** In which manner it drifts, where that is known. */
  readonly driftKind?: DriftKind;
  /** The version that it is of, where it is of one. */
  readonly versionId?: string;
}

/** What a figure is. */
export interface FigureMeaning {
  readonly meaning: string;
  /** Such as `ms` or `share`; `count` for numbers of things. */
  readonly unit: string;
}

/** Knows figures of deployments: what alert rules read. */
export interface FigureSource {
  /** The figures that there are, by name. */
  readonly figures: Readonly<Record<string, FigureMeaning>>;
  /** Several of a name where it has labels; none of a name that has no data. */
  read(query: FigureQuery): Promise<readonly Figure[]>;
}

/** Several sources as one; a name that several know is the first's. UNSUPPORTED, naming what there is, for other names. */
export function joinFigures(sources: readonly FigureSource[]): FigureSource {
  const figures = Object.assign({}, ...sources.toReversed().map((source) => source.figures));
  return {
    figures,
    async read(query) {
      const unknown = query.names.find((name) => !Object.hasOwn(figures, name));
      if (unknown !== undefined) {
        const known = Object.keys(figures).sort().join(', ');
        throw new KeelsonError(
          'UNSUPPORTED',
          `There is no figure ${JSON.stringify(unknown)}; there are ${known}.`,
          { details: { figure: unknown } },
        );
      }
      const left = new Set(query.names);
      const found: Figure[] = [];
      for (const source of sources) {
        const names = [...left].filter((name) => Object.hasOwn(source.figures, name));
        if (names.length === 0) continue;
        for (const name of names) left.delete(name);
        found.push(...(await source.read({ ...query, names })));
      }
      return found;
    },
  };
}
