import type { ArtifactStore } from '../contracts/artifact-store.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Heartbeats, MetricWriter } from '../contracts/metric-writer.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { SeriesStore } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { FileArtifactStore } from './file-artifact-store.ts';
import type { FileSystemFacts } from './network-file-system.ts';
import { openPlatformDirectory, type PlatformDirectory } from './platform-directory.ts';
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

/**
 * Opens the embedded default on a directory: one SQLite file, artifact files, a spool. What was opened
 * is closed again when a later part cannot be.
 */
export async function openEmbeddedStores(options: {
  readonly dir: string;
  readonly kinds: readonly KindDeclaration[];
  readonly points?: Omit<PointWriterOptions, 'target'>;
  /** What is asked about the file system that holds the directory; the system when left out. */
  readonly fileSystem?: FileSystemFacts;
}): Promise<EmbeddedStores> {
  const { fileSystem } = options;
  const opened: (() => Promise<void>)[] = [];
  const open = async <T extends AsyncDisposable>(part: Promise<T>): Promise<T> => {
    const done = await part;
    opened.unshift(async () => done[Symbol.asyncDispose]());
    return done;
  };
  try {
    const directory = await open(
      openPlatformDirectory(options.dir, fileSystem === undefined ? {} : { fileSystem }),
    );
    const database = await open(SqliteDatabase.open(directory.databasePath));
    const artifacts = await open(FileArtifactStore.open({ dir: directory.artifactsPath }));
    const series = await open(SqliteSeriesStore.open({ database }));
    const metadata = await open(
      SqliteMetadataStore.open({
        database,
        kinds: options.kinds,
        beforeProjectedQuery: async () => {
          if (series.hasPending()) await series.fold();
        },
      }),
    );
    const heartbeats = new SqliteHeartbeats(database);
    return embeddedStores(directory, { metadata, series, artifacts, heartbeats }, opened, {
      spoolDir: directory.spoolPath,
      ...options.points,
      target: { kind: 'sqlite', path: directory.databasePath },
    });
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

function embeddedStores(
  directory: PlatformDirectory,
  stores: Pick<EmbeddedStores, 'metadata' | 'series' | 'artifacts' | 'heartbeats'>,
  opened: readonly (() => Promise<void>)[],
  points: PointWriterOptions,
): EmbeddedStores {
  let writer: PointWriter | undefined;
  let closing: Promise<void> | undefined;
  return {
    ...stores,
    dir: directory.path,

    writer() {
      if (closing !== undefined) {
        throw new KeelsonError(
          'CLOSED',
          'This platform is closed; open another with openPlatform().',
        );
      }
      writer ??= PointWriter.open(points);
      return writer;
    },

    close({ timeoutMs }) {
      closing ??= closeAll([async () => writer?.close({ timeoutMs }), ...opened]);
      return closing;
    },
  };
}

/** Closes one after another, also when one cannot be closed; then rejects with what the first said. */
async function closeAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const faults: unknown[] = [];
  for (const close of parts) {
    try {
      await close();
    } catch (fault) {
      faults.push(fault);
    }
  }
  if (faults.length > 0) throw faults[0];
}
