import type { Caretaker } from '../../contracts/caretaker.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Scope } from '../../contracts/scope.ts';
import { assertText } from '../../json.ts';
import { columnIs, everyRecord, referredBy } from '../../operations/every-record.ts';
import type { UserErasures } from '../predictions/user-erasure.ts';
import {
  archiveKind,
  PredictionRetention,
  type PredictionRetentionParts,
} from './prediction-retention.ts';
import { type DailyFigure, readSummary } from './summary-file.ts';

/** A month of a deployment's daily figures. */
export interface PredictionArchive {
  readonly id: string;
  readonly from: number;
  readonly to: number;
  readonly figures: number;
  readonly sizeBytes: number;
  /** Missing once the time of the file is over: then this is what stays. */
  readonly sha256?: string;
}

/** What is left of predictions when they are old. */
export interface PredictionHistory {
  /** The months that were put into files, oldest first. */
  predictionArchives(deploymentId: string): Promise<readonly PredictionArchive[]>;
  /** The daily figures of all files that there still are, by day. CORRUPT, as it is read, for a damaged one. */
  predictionHistory(deploymentId: string): AsyncIterable<DailyFigure>;
}

/** The room: what users see of it, and what operations are handed. */
export interface RetentionRoom {
  readonly service: PredictionHistory;
  readonly loop: Loop;
  readonly caretaker: Pick<Caretaker, 'purge' | 'references' | 'contents'>;
}

/** {@link PredictionHistory} of a scope, with the ageing of predictions. */
export function createRetention(
  scope: Scope,
  parts: PredictionRetentionParts & { readonly erasures: Pick<UserErasures, 'settle'> },
): RetentionRoom {
  const retention = new PredictionRetention(scope, parts);

  async function archivesOf(deploymentId: string): Promise<readonly PredictionArchive[]> {
    const all: PredictionArchive[] = [];
    const where = columnIs('deploymentId', deploymentId);
    for await (const { id, columns } of everyRecord(scope, archiveKind, { where })) {
      const number = (name: string): number => columns[name] as number;
      const sha256 = columns['sha256'] as string | undefined;
      all.push({
        ...{ id, from: number('from'), to: number('to') },
        ...{ figures: number('figures'), sizeBytes: number('sizeBytes') },
        ...(sha256 === undefined ? {} : { sha256 }),
      });
    }
    return all.toSorted((a, b) => a.from - b.from);
  }

  return {
    service: {
      async predictionArchives(deploymentId) {
        assertText(deploymentId, 'A deployment id');
        return archivesOf(deploymentId);
      },

      async *predictionHistory(deploymentId) {
        assertText(deploymentId, 'A deployment id');
        for (const { sha256 } of await archivesOf(deploymentId)) {
          if (sha256 !== undefined) yield* await readSummary(scope, sha256);
        }
      },
    },
    loop: {
      name: 'prediction-retention',
      idleMs: 3_600_000,
      async runOnce(signal) {
        await parts.erasures.settle(signal);
        await retention.run(signal);
        return false;
      },
    },
    caretaker: {
      async purge({ dryRun, signal, onRemoved }) {
        if (dryRun) return;
        const { letGo } = await retention.run(signal);
        for (const id of letGo) onRemoved(`${archiveKind}:${id}`);
      },
      references: async () => ({ among: (digests) => referredBy(scope, archiveKind, digests) }),
      contents: {
        kind: archiveKind,
        digests: ({ columns }) => {
          const sha256 = columns['sha256'];
          return typeof sha256 === 'string' ? [sha256] : [];
        },
      },
    },
  };
}
