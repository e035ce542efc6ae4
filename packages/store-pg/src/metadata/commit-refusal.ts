import { decodeJson, type JsonObject, KeelsonError } from '@keelson/core';
import {
  emittedBefore,
  immutablePart,
  type Kinds,
  lostClaim,
  missingRecord,
  outOfBounds,
  type RefusedAdjustment,
  staleRecord,
  takenId,
  takenKey,
  unsafeInteger,
} from '@keelson/core/sql';
import { serverSaid, sqlState } from '../connection/pg-error.ts';
import { refusalState } from './commit-functions.ts';

/** What `commit_changes` refused, as the KeelsonError of the contract; undefined for any other error. */
export function commitRefusal(error: unknown, kinds: Kinds): KeelsonError | undefined {
  const cause = error instanceof KeelsonError ? error.cause : error;
  if (sqlState(cause) !== refusalState) return undefined;
  const details = decodeJson(serverSaid(cause, 'detail') ?? '{}') as JsonObject;
  const text = (name: string): string => String(details[name]);
  const record = { kind: text('kind'), id: text('id') };
  switch ((cause as Error).message) {
    case 'missing':
      return missingRecord(record);
    case 'stale': {
      const { expect, actual } = details;
      return staleRecord(
        record,
        expect === 'absent' ? expect : Number(expect),
        typeof actual === 'number' ? actual : undefined,
      );
    }
    case 'immutable':
      return immutablePart(record, details['part'] === undefined ? undefined : text('part'));
    case 'there':
      return takenId(record);
    case 'taken': {
      const key = kinds.get(record.kind)?.unique?.find(({ name }) => name === details['unique']);
      return takenKey(record, key, key === undefined ? undefined : text('by'), cause);
    }
    case 'bounds':
      return outOfBounds(adjustment(details, record));
    case 'unsafe':
      return unsafeInteger(adjustment(details, record));
    case 'lost':
      return lostClaim(record, { owner: text('owner'), fence: Number(details['fence']) });
    case 'emitted':
      return emittedBefore({ id: text('id'), type: text('type') }, cause);
    default:
      return undefined;
  }
}

function adjustment(
  details: JsonObject,
  record: { readonly kind: string; readonly id: string },
): RefusedAdjustment {
  const bound = (name: string): number | undefined =>
    details[name] === undefined ? undefined : Number(details[name]);
  return {
    ...record,
    column: String(details['name']),
    value: Number(details['value']),
    by: Number(details['by']),
    min: bound('min'),
    max: bound('max'),
  };
}
