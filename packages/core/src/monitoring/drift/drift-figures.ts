import { isKeelsonError } from '../../errors.ts';
import type { Figure, FigureSource } from '../alerting/figure-source.ts';
import type { PerformanceService } from '../performance/performance-service.ts';
import type { DriftService } from './drift-service.ts';
import type { KeptAnalysis } from './kept-analysis.ts';

/** What figures of analyses are read from. */
export interface AnalysisParts {
  readonly analyseDrift: DriftService['analyseDrift'];
  readonly performance: PerformanceService['performance'];
}

/** An analysis is made for each quarter of an hour, and answered again within it. */
const everyMs = 15 * 60_000;

/** Figures of concept and multivariate drift, and of how far performance is from what was to be expected: what alert rules read. */
export function analysisFigures(parts: () => AnalysisParts): FigureSource {
  return {
    figures: {
      concept_drift: {
        meaning:
          'By how many deviations losses have risen where detectors agree that they have, else 0.',
        unit: 'deviations',
      },
      multivariate_drift: {
        meaning: 'By what share the loss of reconstructed rows is other than usual.',
        unit: 'share',
      },
      accuracy_shortfall: {
        meaning:
          'By how many standard errors fewer answers are right than their probabilities promised.',
        unit: 'standard errors',
      },
    },
    async read({ deploymentId, names, from, to }) {
      const at = Math.floor(to / everyMs) * everyMs;
      const { analyseDrift, performance } = parts();
      const found: Figure[] = [];
      for (const name of names) {
        if (name === 'accuracy_shortfall') {
          found.push(await shortfall(performance, deploymentId, { from, to }));
          continue;
        }
        const type = name === 'concept_drift' ? 'CONCEPT' : 'MULTIVARIATE';
        try {
          found.push(figureOf(name, await analyseDrift(deploymentId, { type, at })));
        } catch (error) {
          // There is nothing yet that features are held against together.
          if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
          found.push({ name, count: 0 });
        }
      }
      return found;
    },
  };
}

function figureOf(name: string, analysis: KeptAnalysis): Figure {
  const { outcome, score, detected, samples, features, driftKind, versionId, details } = analysis;
  const count = samples.current;
  if (outcome !== 'measured' || score === undefined) return { name, count };
  const usual = Number(details['usual'] ?? 0);
  const away = usual > 0 ? Math.abs(score - usual) / usual : 0;
  const value = name === 'concept_drift' ? score : away;
  return {
    ...{ name, count, value: detected ? value : 0 },
    ...(features.length === 0 ? {} : { features: features.map(({ feature }) => feature) }),
    ...(driftKind === undefined ? {} : { driftKind }),
    ...(versionId === undefined ? {} : { versionId }),
  };
}

async function shortfall(
  performance: PerformanceService['performance'],
  deploymentId: string,
  range: { readonly from: number; readonly to: number },
): Promise<Figure> {
  const name = 'accuracy_shortfall';
  const { estimated } = await performance(deploymentId, range);
  const beside = estimated?.beside;
  if (beside === undefined) return { name, count: 0 };
  const { versionId } = estimated ?? {};
  return {
    // Three standard errors are what chance may do.
    ...{ name, count: beside.rows, value: Math.max(0, -beside.deviations), chance: 3 },
    ...(versionId === undefined ? {} : { versionId }),
  };
}
