import { isKeelsonError, type Recovery } from '@keelson/core';
import type { PgDatabase } from './pg-database.ts';

const handled: readonly string[] = ['database', 'postgres'];

/** Puts a new pool in the place of one whose connections may be stuck, and sees whether that helps. */
export function resetPool(database: () => PgDatabase | undefined): Recovery {
  return {
    name: 'reset the pool',
    priority: 90,
    canHandle: ({ check, status }) => handled.includes(check) && status === 'UNHEALTHY',
    async run(signal) {
      const open = database();
      if (open === undefined) {
        return { outcome: 'FAILED', message: 'No store of this backend is open.' };
      }
      if (!open.reset()) {
        return {
          outcome: 'MANUAL_REQUIRED',
          message: `${open.place} does not answer, and its pool is not ours to reset.`,
          steps: [
            'See whether the server runs and takes connections from this host.',
            'End the pool that pgBackend was given, and open the platform with a new one.',
          ],
        };
      }
      try {
        await open.read('SELECT 1', [], { signal, retryMs: 0 });
      } catch (error) {
        if (!isKeelsonError(error)) throw error;
        const message = `The pool was replaced; ${open.place} does not answer still: ${error.message}`;
        return { outcome: 'FAILED', message };
      }
      return { outcome: 'SUCCESS', message: `The pool was replaced, and ${open.place} answers.` };
    },
  };
}
