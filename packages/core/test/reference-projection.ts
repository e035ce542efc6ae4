import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import type { KindDeclaration } from '../src/contracts/record.ts';
import type { PointBatch, SeriesKey } from '../src/contracts/series-store.ts';
import type { Figures } from '../src/language/select-value.ts';
import { ReferenceMetadataStore } from '../src/testing/model/reference-metadata-store.ts';
import { ReferenceWorld } from '../src/testing/model/reference-world.ts';
import type { ProjectedFacetHarness } from '../src/testing/projected-facet-suite.ts';
import { SeriesModel } from './series/series-model.ts';

/** A world whose records have the metrics of a series model. */
export class ProjectingWorld extends ReferenceWorld {
  readonly #model = new SeriesModel();
  readonly #keys: SeriesKey[] = [];

  append(batch: PointBatch): void {
    this.#model.append(batch);
    this.#keys.push(...batch.series);
  }

  /** The series of a record, each once. */
  seriesOf(workspace: string, owner: string): readonly string[] {
    const mine = this.#keys.filter((key) => key.workspace === workspace && key.owner === owner);
    return [...new Set(mine.map(({ key }) => key))];
  }

  override metricsOf(workspace: string, owner: string): Readonly<Record<string, Figures>> {
    const entries = this.seriesOf(workspace, owner).flatMap((key) => {
      const summary = this.#model.summary({ workspace, owner, key });
      if (summary === undefined) return [];
      const { last, min, max, mean, first, count } = summary;
      const figures = Object.entries({ last, min, max, mean, first, count });
      return [
        [key, Object.fromEntries(figures.filter(([, value]) => value !== undefined))] as const,
      ];
    });
    return Object.fromEntries(entries);
  }
}

/** Opens the reference store with projected facets. */
export class ReferenceProjectionHarness implements ProjectedFacetHarness {
  readonly #world: ProjectingWorld;

  constructor(world: ProjectingWorld = new ProjectingWorld()) {
    this.#world = world;
  }

  async open(kinds: readonly KindDeclaration[]): ReturnType<ProjectedFacetHarness['open']> {
    const metadata: MetadataStore = new ReferenceMetadataStore(this.#world, kinds);
    const series = { appendPoints: async (batch: PointBatch) => this.#world.append(batch) };
    return { metadata, series };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The world goes with the harness.
  }
}
