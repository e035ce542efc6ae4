import { statfs } from 'node:fs/promises';
import type { Recovery } from '../../contracts/caretaker.ts';
import { isKeelsonError } from '../../errors.ts';
import type { GarbageReport } from '../garbage.ts';

const enough = 0.2;

/** Frees what retention allows when the disk is nearly full. */
export function collectStorage(
  dir: string,
  parts: {
    collect(signal: AbortSignal): Promise<GarbageReport>;
    collectLeftovers(olderThanMs: number): Promise<number>;
  },
): Recovery {
  return {
    name: 'collect storage',
    priority: 50,
    canHandle: ({ check }) => check === 'disk',
    async run(signal) {
      // Needs no room itself: a full disk refuses what the rest has to write.
      const leftovers = await parts.collectLeftovers(3_600_000);
      let freed = 0;
      let contents = 0;
      let said = '';
      try {
        const report = await parts.collect(signal);
        freed = report.freedBytes;
        contents = report.contents;
      } catch (error) {
        if (!isKeelsonError(error, 'EXHAUSTED', 'UNAVAILABLE')) throw error;
        said = ` The collection broke off: ${error.message}`;
      }
      const { bavail, blocks } = await statfs(dir);
      const share = bavail / blocks;
      const message = `${contents} contents and ${leftovers} leftovers went, ${freed} bytes were freed; ${Math.round(share * 1000) / 10} % of the disk are free.${said}`;
      if (share > enough) return { outcome: 'SUCCESS', message };
      if (freed > 0 || leftovers > 0) return { outcome: 'PARTIAL', message };
      return { outcome: 'MANUAL_REQUIRED', message };
    },
  };
}
