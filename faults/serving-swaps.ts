import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPlatform, type Platform } from '../packages/core/src/index.ts';
import {
  type SwapReport,
  type SwapStage,
  swapModule,
  swapSignature,
  swapUnderLoad,
} from '../packages/serve/src/testing/swap-story.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import type { FaultContext, FaultReport, FaultScenario } from './scenario.ts';
import type { SwapsArgument } from './swaps-child.ts';

/** More than a deployment keeps warm beside the one that answers: some of the swaps load a version anew. */
const versions = ['1.0.0', '1.1.0', '1.2.0', '1.3.0'];
const extents = {
  short: { swaps: 10, kills: 1 },
  long: { swaps: 1_000, kills: 20 },
};

async function deploy(platform: Platform, begun: string): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for (const version of versions) {
    const { id } = await platform.registry.register({
      ...{ model: 'swapped', version, format: 'JS', signature: swapSignature },
      from: { files: { 'model.mjs': Buffer.from(swapModule(version, begun)) } },
    });
    ids.set(version, id);
  }
  await platform.deployments.create({
    ...{ name: 'swapped', environment: 'DEVELOPMENT' },
    versionId: ids.get(versions[0] as string) as string,
    serving: { isolation: 'process', replicas: 2 },
  });
  return ids;
}

async function swaps(argument: SwapsArgument, context: FaultContext): Promise<SwapReport> {
  const { url, schema = 'swaps', dir } = argument;
  const backend = url === undefined ? undefined : pgBackend({ url, schema });
  await using platform = await openPlatform({
    dir,
    ...(backend === undefined ? {} : { metadata: backend, series: backend }),
  });
  const begun = join(dir, 'begun');
  const ids = await deploy(platform, begun);
  const program = fileURLToPath(new URL('./swaps-child.ts', import.meta.url));
  const child: ChildProcess = fork(program, [JSON.stringify(argument)]);
  const ended = once(child, 'exit');
  try {
    const began = await Promise.race([once(child, 'message'), ended]);
    const { port } = (began[0] ?? {}) as { readonly port?: number };
    if (port === undefined) throw new Error('The server has not begun.');
    const { deployments } = platform;
    const reason = 'the fault bed';
    const stage: SwapStage = {
      ...{ port, begun, versions },
      swap: (version) => deployments.setVersion('swapped', ids.get(version) as string, reason),
      resize: (replicas) => deployments.configure('swapped', { serving: { replicas } }, reason),
    };
    const { extent, seed, tell } = context;
    return await swapUnderLoad(stage, { ...extents[extent], connections: 10, seed, tell });
  } finally {
    if (child.connected) child.disconnect();
    await ended;
  }
}

async function run(context: FaultContext): Promise<FaultReport> {
  const parent = mkdtempSync(join(tmpdir(), 'keelson-swaps-'));
  try {
    const { url } = context.store;
    const dir = join(parent, '.keelson');
    const schema = `swaps_${process.pid}`;
    const report = await swaps(url === undefined ? { dir } : { dir, url, schema }, context);
    const { failures, ...counts } = report;
    if (Object.keys(failures).length > 0) {
      throw new Error(`Of ${report.answers} answers: ${JSON.stringify(failures, undefined, 2)}`);
    }
    const { swaps: swapped, scaleDowns, kills, begunTwice, answers } = counts;
    return {
      faults: {
        ...{ swap: swapped, 'scale-down': scaleDowns, kill: kills },
        ...{ 'request begun twice': begunTwice, 'answer, none failed': answers },
      },
      invariants: 4,
    };
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** No request fails while versions, replicas and processes come and go. */
export const servingSwaps: FaultScenario = {
  name: 'serving-swaps',
  sentence:
    '1,000 versions swapped, replicas scaled down and 20 killed under load: each request is answered, and begun twice at most.',
  run,
};
