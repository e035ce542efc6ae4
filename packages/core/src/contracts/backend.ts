import type { ArtifactStore } from './artifact-store.ts';
import type { Caretaker } from './caretaker.ts';
import type { MetadataStore } from './metadata-store.ts';
import type { Heartbeats } from './metric-writer.ts';
import type { PointTargetDescription } from './point-target.ts';
import type { Logger } from './ports.ts';
import type { KindDeclaration } from './record.ts';
import type { SeriesStore } from './series-store.ts';

/**
 * Backends are what `openPlatform` is handed: `openPlatform({ metadata, series, artifacts })`. Making one
 * does no I/O; the platform opens what it is given and closes what was opened for it. Clients and pools
 * that a user gave to a backend stay open. Nothing that a user passes as a secret is in an error, in a
 * log, or seen by `util.inspect`.
 *
 * One object may be several backends. Where the same object is `metadata` and `series`, the metrics of
 * runs are projected onto their records: one query filters by params and sorts by a metric. Where they are
 * two, the values come along with the records, but conditions and orders over metrics are UNSUPPORTED.
 */
export interface MetadataBackend {
  /**
   * Connects, migrates (forward only; of any number of starters one does it), declares the kinds.
   * UNAVAILABLE when it cannot be reached, INCOMPATIBLE for what a newer version has written.
   */
  openMetadata(context: {
    readonly kinds: readonly KindDeclaration[];
    readonly logger: Logger;
  }): Promise<MetadataStore>;
  /** Connections to a server, where there is one and its pool tells; asked for often, without I/O. */
  connections?(): Connections | undefined;
  /** Checks and recoveries of its own; the same object where it is several backends. */
  caretaker?(): Caretaker;
}

/** The connections of a pool. */
export interface Connections {
  readonly total: number;
  readonly idle: number;
  /** Callers that wait for one. */
  readonly waiting: number;
}

/** Hands out a {@link SeriesStore}; see {@link MetadataBackend}. */
export interface SeriesBackend {
  /** As `openMetadata`. Where one object is both, the platform opens the series first. */
  openSeries(context: { readonly logger: Logger }): Promise<OpenedSeries>;
  /** As that of {@link MetadataBackend}. */
  caretaker?(): Caretaker;
}

/** An opened series store, and what the process's metric writer needs besides. */
export interface OpenedSeries {
  readonly store: SeriesStore;
  readonly heartbeats: Heartbeats;
  /** How the thread that writes points opens a connection of its own. */
  readonly points: PointTargetDescription;
}

/** Hands out an {@link ArtifactStore}; see {@link MetadataBackend}. */
export interface ArtifactBackend {
  openArtifacts(context: {
    readonly logger: Logger;
    /** A local directory for copies of what was read; made when it is used. */
    readonly cacheDir: string;
  }): Promise<ArtifactStore>;
  /** As that of {@link MetadataBackend}. */
  caretaker?(): Caretaker;
}
