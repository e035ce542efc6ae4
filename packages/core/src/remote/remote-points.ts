import { isKeelsonError, KeelsonError } from '../errors.ts';
import { decodeSegment, encodeSegment } from '../sql/series-segment.ts';
import type { AwayPoints } from '../tracking/points-elsewhere.ts';

/** The media type of {@link encodePoints}. */
export const pointsMediaType = 'application/vnd.keelson.points';

/**
 * A batch of points for the wire, about 26 bytes a point. Layout: the length of the head (uint32, little endian), the
 * head as JSON `{ writer, sequence, series: [[runId, key]] }`, a segment as stores keep it, with its checksum.
 */
export function encodePoints(batch: AwayPoints): Uint8Array {
  const { writer, sequence, series } = batch;
  const names = series.map(({ runId, key }) => [runId, key]);
  const head = Buffer.from(JSON.stringify({ writer, sequence, series: names }));
  const table = Float64Array.from(series, (_, i) => i);
  const segment = encodeSegment({
    keyIds: table,
    ownerIds: table,
    index: Uint32Array.from(batch.seriesIndex),
    steps: Float64Array.from(batch.steps),
    timestamps: Float64Array.from(batch.timestamps),
    values: Float64Array.from(batch.values),
  });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return Buffer.concat([length, head, segment]);
}

/** What {@link encodePoints} was given. INVALID, with `details.damaged`, for what is none. */
export function decodePoints(bytes: Uint8Array): AwayPoints {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = 4 + view.getUint32(0, true);
    const { writer, sequence, series } = JSON.parse(
      Buffer.from(bytes.subarray(4, end)).toString('utf8'),
    ) as { writer: string; sequence: number; series: readonly (readonly [string, string])[] };
    // A copy: columns of numbers begin where numbers may begin.
    const { index, steps, timestamps, values } = decodeSegment(
      Uint8Array.from(bytes.subarray(end)),
    );
    const names = series.map(([runId, key]) => ({ runId, key }));
    return { writer, sequence, series: names, seriesIndex: index, steps, timestamps, values };
  } catch (cause) {
    const ours = isKeelsonError(cause, 'CORRUPT');
    if (!ours && !(cause instanceof RangeError || cause instanceof SyntaxError)) {
      if (!(cause instanceof TypeError)) throw cause;
    }
    throw new KeelsonError('INVALID', 'The body is no batch of metric points, or is damaged.', {
      cause,
      details: { damaged: true },
    });
  }
}
