import type { Evidence, EvidenceQuery, EvidenceSource } from '../contracts/evidence-source.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';

/** Answers a figure of one's own; `estimate` is left out where there is not enough data. */
export type FigureQuery = (
  query: EvidenceQuery,
) => Promise<Pick<Evidence, 'estimate' | 'low' | 'high' | 'samples'> & Partial<Evidence>>;

/** The figures that a process brings, by name. */
export type Figures = Map<string, FigureQuery>;

/** Keeps a figure. CONFLICT for a name that another has; INVALID for what cannot be asked. */
export function addFigure(figures: Figures, name: string, query: FigureQuery): void {
  if (assertText(name, 'The name of a figure', 255) === '' || typeof query !== 'function') {
    throw new KeelsonError('INVALID', 'A figure has a name, and a function that answers it.');
  }
  const known = figures.get(name);
  if (known !== undefined && known !== query) {
    throw new KeelsonError('CONFLICT', `This process has another figure ${name}.`);
  }
  figures.set(name, query);
}

/** A source that knows one's own figures, and asks the other for the rest. */
export function withFigures(figures: Figures, others: () => EvidenceSource): () => EvidenceSource {
  return () => ({
    async ask(query) {
      const own = figures.get(query.figure);
      if (own === undefined) return others().ask(query);
      const answer = await own(query);
      const at = query.to ?? 0;
      return { inputs: {}, at, ...answer, figure: query.figure };
    },
  });
}
