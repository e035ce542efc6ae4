import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactStore } from '../contracts/artifact-store.ts';
import type {
  ArtifactBackend,
  MetadataBackend,
  OpenedSeries,
  SeriesBackend,
} from '../contracts/backend.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Heartbeats, MetricWriter } from '../contracts/metric-writer.ts';
import type { Logger } from '../contracts/ports.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { SeriesStore } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { FileArtifactStore } from './file-artifact-store.ts';
import { MetadataBesideSeries } from './metadata-beside-series.ts';
import type { FileSystemFacts } from './network-file-system.ts';
import { openPlatformDirectory, type PlatformDirectory } from './platform-directory.ts';
import { PointWriter, type PointWriterOptions } from './point-writer.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteHeartbeats } from './sqlite-heartbeats.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

/** The stores of one platform, and what goes with them. */
export interface PlatformStores {
  /** What is local: the embedded stores, the spool of points, copies of artifacts. */
  readonly dir: string;
  readonly metadata: MetadataStore;
  readonly series: SeriesStore;
  readonly artifacts: ArtifactStore;
  readonly heartbeats: Heartbeats;
  /** The SQLite file with all records and series; undefined where some of them lie elsewhere. */
  readonly databasePath: string | undefined;
  /** The process's metric writer; its thread starts with the first point or open run. */
  writer(): MetricWriter;
  /** Has points that processes which died left behind carried to the store. */
  adoptSpools(): void;
  /** Whether it has been asked for. */
  hasWriter(): boolean;
  close(options: { readonly timeoutMs: number }): Promise<void>;
}

/** Which stores a platform has, and where the embedded ones lie. */
export interface StoresOptions {
  readonly dir: string;
  readonly kinds: readonly KindDeclaration[];
  /** In place of the embedded stores, which are opened for what is left out. */
  readonly metadata?: MetadataBackend | undefined;
  readonly series?: SeriesBackend | undefined;
  readonly artifacts?: ArtifactBackend | undefined;
  readonly logger?: Logger | undefined;
  readonly points?: Omit<PointWriterOptions, 'target'>;
  /** What is asked about the file system that holds the directory; the system when left out. */
  readonly fileSystem?: FileSystemFacts;
}

/** Opens a part, to be closed with the others in the opposite order. */
type Open = <T extends AsyncDisposable>(part: Promise<T>) => Promise<T>;

/**
 * Opens the stores of a platform: those that were handed over, and for what was left out the embedded
 * default in a directory (one SQLite file, artifact files), which also holds a spool. What was opened is
 * closed again when a later part cannot be.
 */
export async function openStores(options: StoresOptions): Promise<PlatformStores> {
  const { fileSystem } = options;
  const opened: (() => Promise<void>)[] = [];
  const open: Open = async (part) => {
    const done = await part;
    opened.unshift(async () => done[Symbol.asyncDispose]());
    return done;
  };
  try {
    const directory = await open(
      openPlatformDirectory(options.dir, fileSystem === undefined ? {} : { fileSystem }),
    );
    const database =
      options.metadata === undefined || options.series === undefined
        ? await open(SqliteDatabase.open(directory.databasePath))
        : undefined;
    const artifacts = await openArtifacts(options, directory, open);
    const { series, fold } = await openSeries(options, directory, database, open);
    const metadata = await openMetadata(options, database, series.store, fold, open);
    const { store, heartbeats, points } = series;
    const whole = options.metadata === undefined && options.series === undefined;
    const databasePath = whole ? directory.databasePath : undefined;
    const parts = { metadata, series: store, artifacts, heartbeats, databasePath };
    const logger = options.logger ?? silentLogger;
    return platformStores(directory, parts, opened, logger, {
      notice: (message) => logger.warn({ component: 'metrics' }, message),
      spoolDir: directory.spoolPath,
      ...options.points,
      target: points,
    });
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

const silent = (): void => undefined;
const silentLogger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

async function openArtifacts(
  { artifacts, logger = silentLogger }: StoresOptions,
  directory: PlatformDirectory,
  open: Open,
): Promise<ArtifactStore> {
  if (artifacts === undefined) {
    return await open(FileArtifactStore.open({ dir: directory.artifactsPath }));
  }
  const cacheDir = join(directory.path, 'cache');
  await mkdir(cacheDir, { recursive: true });
  return await open(artifacts.openArtifacts({ logger, cacheDir }));
}

/** The series, and what folds those that lie in the database of the embedded metadata. */
async function openSeries(
  { series, logger = silentLogger }: StoresOptions,
  directory: PlatformDirectory,
  database: SqliteDatabase | undefined,
  open: Open,
): Promise<{ readonly series: OpenedSeries; readonly fold?: () => Promise<void> }> {
  if (series !== undefined) {
    const given = await series.openSeries({ logger });
    await open(Promise.resolve(given.store));
    return { series: given };
  }
  if (database === undefined) throw new KeelsonError('INTERNAL', 'No database for the series.');
  const store = await open(SqliteSeriesStore.open({ database }));
  return {
    series: {
      store,
      heartbeats: new SqliteHeartbeats(database),
      // A database that somebody removed must not come back empty, as if nothing had been lost.
      points: { kind: 'sqlite', path: directory.databasePath, mustExist: true },
    },
    fold: async () => {
      if (store.hasPending()) await store.fold();
    },
  };
}

async function openMetadata(
  options: StoresOptions,
  database: SqliteDatabase | undefined,
  series: SeriesStore,
  fold: (() => Promise<void>) | undefined,
  open: Open,
): Promise<MetadataStore> {
  const { metadata, kinds, logger = silentLogger } = options;
  if (metadata !== undefined) {
    const store = await open(metadata.openMetadata({ kinds, logger }));
    const same = (metadata as unknown) === options.series;
    return same ? store : new MetadataBesideSeries(store, series, kinds);
  }
  if (database === undefined) throw new KeelsonError('INTERNAL', 'No database for the metadata.');
  const beforeProjectedQuery = fold ?? (async () => undefined);
  const store = await open(SqliteMetadataStore.open({ database, kinds, beforeProjectedQuery }));
  return fold === undefined ? new MetadataBesideSeries(store, series, kinds) : store;
}

function platformStores(
  directory: PlatformDirectory,
  stores: Pick<PlatformStores, 'metadata' | 'series' | 'artifacts' | 'heartbeats' | 'databasePath'>,
  opened: readonly (() => Promise<void>)[],
  logger: Logger,
  points: PointWriterOptions,
): PlatformStores {
  let writer: PointWriter | undefined;
  let closing: Promise<void> | undefined;
  // Points that a process which died could not store come to the store also when nothing is logged here.
  const adoptSpools = (): void => {
    if (closing !== undefined) return;
    const one = writer ?? PointWriter.open(points);
    if (one.adoptSpools()) writer = one;
  };
  adoptSpools();
  const closeWriter = async (timeoutMs: number): Promise<void> => {
    try {
      await writer?.close({ timeoutMs });
    } finally {
      if (writer !== undefined) tellLoss(writer, logger);
    }
  };
  return {
    ...stores,
    dir: directory.path,
    adoptSpools,

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

    hasWriter: () => writer !== undefined,

    close({ timeoutMs }) {
      closing ??= closeAll([() => closeWriter(timeoutMs), ...opened]);
      return closing;
    },
  };
}

const namedSeries = 5;

/** What was lost is told at the end too: nobody may have looked at the health of a run. */
export function tellLoss(writer: MetricWriter, logger: Logger): void {
  const { dropped } = writer.health();
  if (dropped.length === 0) return;
  const points = dropped.reduce((sum, each) => sum + each.points, 0);
  const most = dropped.toSorted((a, b) => b.points - a.points).slice(0, namedSeries);
  const named = most.map(({ series, points: of }) => `${series.key} of run ${series.owner}: ${of}`);
  const more = dropped.length > namedSeries ? `, and ${dropped.length - namedSeries} more` : '';
  logger.warn(
    { component: 'metrics', lostPoints: points },
    `${points} metric points were lost, because memory and spool were full or the store refused them (${named.join(', ')}${more}).`,
  );
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
