import { expect, test } from 'vitest';
import { describeOnPg } from './server/test-database.ts';
import { soak } from './soak/soak.ts';

/** `SOAK_MS=600000 vitest run pg-soak` is the long form. */
const forMs = Number(process.env['SOAK_MS'] ?? 3_000);

await describeOnPg(
  '50 writers of 1,000 points a second on one PostgreSQL',
  ({ url, freshSchema }) => {
    test(
      `for ${forMs} ms: each point is there once, also those that were folded meanwhile`,
      async () => {
        // Looks at every series itself, and throws where one is not whole.
        const figures = await soak({
          ...{ url, schema: freshSchema(), processes: 2, writersEach: 25, forMs },
        });
        expect(figures.points).toBe(50 * (2_000 + Math.ceil(forMs / 500) * 500));
        expect(figures.flushMs.length).toBe(50 * Math.ceil(forMs / 500));
      },
      forMs + 120_000,
    );
  },
);
