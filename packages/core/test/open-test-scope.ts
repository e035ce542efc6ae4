import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { edgeKind } from '../src/contracts/kinds/tracking-kinds.ts';
import type { Clock, Logger } from '../src/contracts/ports.ts';
import type { KindDeclaration } from '../src/contracts/record.ts';
import type { Scope } from '../src/contracts/scope.ts';
import { openStores, type PlatformStores } from '../src/embedded/open-stores.ts';
import { uuidV7 } from '../src/uuid.ts';
import { testBackends } from './test-backends.ts';

/** What a test works with: a scope over the embedded stores of a directory. */
export interface TestScope extends AsyncDisposable {
  readonly scope: Scope;
  readonly stores: PlatformStores;
  readonly dir: string;
  /** What was logged, oldest first. */
  readonly logs: readonly { readonly level: string; readonly message: string }[];
}

/** A scope over a new temporary directory, removed at the end, or over one that stays the caller's. */
export async function openTestScope(options: {
  readonly kinds: readonly KindDeclaration[];
  readonly dir?: string;
  readonly workspace?: string;
  readonly clock?: Clock;
}): Promise<TestScope> {
  const own = options.dir === undefined;
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'keelson-test-')));
  // Any room may add to the lineage.
  const withEdges = options.kinds.some(({ name }) => name === edgeKind.name);
  const kinds = withEdges ? options.kinds : [...options.kinds, edgeKind];
  const stores = await openStores({ dir, kinds, ...(await testBackends(dir)) });
  const workspace = options.workspace ?? 'default';
  const logs: { level: string; message: string }[] = [];
  const log = (level: string) => (_fields: object, message: string) => {
    logs.push({ level, message });
  };
  const logger: Logger = {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
  };
  const scope: Scope = {
    workspace,
    principal: { id: 'user:test', roles: ['admin'] },
    metadata: stores.metadata,
    series: stores.series,
    artifacts: stores.artifacts.space(workspace),
    artifactUri: (sha256) => stores.artifacts.uri(workspace, sha256),
    clock: options.clock ?? { now: () => Date.now() },
    ids: { next: () => uuidV7() },
    logger,
    authorizer: { authorize: async () => ({ allowed: true, reason: 'a test' }) },
  };
  return {
    scope,
    stores,
    dir,
    logs,
    async [Symbol.asyncDispose]() {
      await stores.close({ timeoutMs: 5000 });
      if (own) await rm(dir, { recursive: true, force: true });
    },
  };
}
