export { compareText } from '../language/stored-value.ts';
export { type ColumnInput, columnInput, columnOutput } from './column-value.ts';
export {
  assertClaimable,
  type CheckedChange,
  checkCommit,
  type Kinds,
  kindOf,
} from './commit-input.ts';
export {
  emittedBefore,
  immutablePart,
  lostClaim,
  missingRecord,
  outOfBounds,
  type RefusedAdjustment,
  type RefusedRecord,
  staleRecord,
  takenId,
  takenKey,
  unsafeInteger,
} from './commit-refusals.ts';
export { countMatches, type MatchCount } from './count-matches.ts';
export type { SqlDialect, SqlRow, SqlStatement, SqlValue } from './dialect.ts';
export { type FacetValue, facetValue, prefixLength } from './facet-value.ts';
export { mergePages } from './merge-pages.ts';
export { type CursorScope, type PagePosition, readCursor, writeCursor } from './page-cursor.ts';
export { predicateSql } from './predicate-sql.ts';
export {
  assertCount,
  assertNotAborted,
  assertPartition,
  type CheckedClaim,
  type CheckedQuery,
  checkClaim,
  checkCount,
  checkFind,
  checkHistory,
  checkQuery,
  checkReach,
  type FacetKey,
  facetKeys,
  type ReachRequest,
  readsProjected,
} from './query-input.ts';
export { assertName, type CheckedFacet, namedColumns } from './record-input.ts';
export {
  checkKind,
  columnOf,
  facetColumn,
  flagColumn,
  mergedFacets,
  type RecordIndex,
  recordColumn,
  recordIndexes,
  recordTable,
} from './record-tables.ts';
export type { CheckedRevision } from './restore-input.ts';
export {
  type RowNames,
  type SearchBudgets,
  type SearchContext,
  type SummaryTable,
  searchBudgets,
} from './search-context.ts';
export { searchPage } from './search-plan.ts';
export type { PageEntry, PageRequest, SearchSteps } from './search-steps.ts';
export { SeriesBuckets } from './series-buckets.ts';
export {
  type ChunkHeader,
  decodeChunk,
  decodeChunkValues,
  describeChunk,
  encodeChunk,
} from './series-chunk.ts';
export { clustersOf } from './series-clusters.ts';
export { segmentsOf } from './series-flush.ts';
export {
  assertPointBatch,
  assertRollup,
  assertRowBatch,
  assertSeriesKey,
  assertStreamKey,
  assertTime,
  assertWhole,
  checkErasedRows,
} from './series-input.ts';
export { ChunkLevels, piecesOf } from './series-levels.ts';
export {
  gatherSeries,
  type PendingSegment,
  type SeriesFilter,
  type SeriesPoints,
} from './series-pending.ts';
export {
  type CompareWriters,
  concatPoints,
  lowerBound,
  makePoints,
  type PointSet,
  slicePoints,
  sortPoints,
} from './series-points.ts';
export { cutRows, decodeRows, encodeRows, withoutRows } from './series-rows.ts';
export { decodeSegment, encodeSegment, withoutOwner } from './series-segment.ts';
export { addToSummary, type SummaryState, toSummary } from './series-summary.ts';
export { allOf, always, SqlBuilder } from './sql-builder.ts';
export {
  exactLast,
  figureColumn,
  figurePresent,
  metricDict,
  rowValues,
  type SummaryRow,
  stateColumns,
  stateOf,
} from './summary-row.ts';
