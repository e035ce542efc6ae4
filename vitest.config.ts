import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { keepCompiled } from './tools/compile-cache.ts';
import CountReporter from './tools/count-reporter.ts';
import LongestFirst from './tools/longest-first.ts';

const source = 'keelson:source';

keepCompiled();

// Not `module`: that names what bundlers take, which Node itself cannot load.
// One root project: with a project per package the conditions below are not inherited, and an
// adapter would silently test whatever was last built.
export default defineConfig({
  resolve: { conditions: [source, 'node', 'development|production'] },
  ssr: { resolve: { conditions: [source, 'node', 'development|production'] } },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'packages/*/test/**/*.test.ts',
      'examples/**/*.test.ts',
      'tools/**/*.test.ts',
      'bench/**/*.test.ts',
      'faults/**/*.test.ts',
      'fuzz/**/*.test.ts',
    ],
    // Starts nothing by itself: PostgreSQL is started by the first test that asks for it.
    globalSetup: ['packages/store-pg/test/server/global-setup.ts'],
    environment: 'node',
    pool: 'forks',
    // Worker threads and child processes that a test starts resolve sources as well.
    execArgv: [`--conditions=${source}`, '--disable-warning=ExperimentalWarning'],
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // What is waited for comes when the machine gets to it; what must come soon says so itself.
    expect: { poll: { timeout: 15_000 } },
    reporters: ['default', new CountReporter()],
  },
});
