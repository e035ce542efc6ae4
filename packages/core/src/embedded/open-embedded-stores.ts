import type { ArtifactStore } from '../contracts/artifact-store.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Heartbeats, MetricWriter } from '../contracts/metric-writer.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { SeriesStore } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { FileArtifactStore } from './file-artifact-store.ts';
import { openPlatformDirectory } from './platform-directory.ts';
import { PointWriter, type PointWriterOptions } from './point-writer.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteHeartbeats } from './sqlite-heartbeats.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

/** The stores of one directory, and what goes with them. */
export interface EmbeddedStores {
  readonly dir: string;
  readonly metadata: MetadataStore;
  readonly series: SeriesStore;
  readonly artifacts: ArtifactStore;
  readonly heartbeats: Heartbeats;
  /** The process's metric writer; its thread starts with the first point or open run. */
  writer(): MetricWriter;
  close(options: { readonly timeoutMs: number }): Promise<void>;
}

/** Opens the embedded default on a directory: one SQLite file, artifact files, a spool. */
export async function openEmbeddedStores(options: {
  readonly dir: string;
  readonly kinds: readonly KindDeclaration[];
  readonly points?: Omit<PointWriterOptions, 'target'>;
}): Promise<EmbeddedStores> {
  const directory = await openPlatformDirectory(options.dir);
  const database = await SqliteDatabase.open(directory.databasePath);
  const series = await SqliteSeriesStore.open({ database });
  const metadata = await SqliteMetadataStore.open({
    database,
    kinds: options.kinds,
    beforeProjectedQuery: async () => {
      if (series.hasPending()) await series.fold();
    },
  });
  const artifacts = await FileArtifactStore.open({ dir: directory.artifactsPath });
  let writer: PointWriter | undefined;
  let closed = false;
  return {
    dir: directory.path,
    metadata,
    series,
    artifacts,
    heartbeats: new SqliteHeartbeats(database),

    writer() {
      if (closed) throw new KeelsonError('CLOSED', 'The platform is closed.');
      writer ??= PointWriter.open({
        spoolDir: directory.spoolPath,
        ...options.points,
        target: { kind: 'sqlite', path: directory.databasePath },
      });
      return writer;
    },

    async close({ timeoutMs }) {
      if (closed) return;
      closed = true;
      await writer?.close({ timeoutMs });
      await series.close();
      await metadata.close();
      await artifacts.close();
      await database.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}
