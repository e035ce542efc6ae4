import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../src/contracts/ports.ts';
import type { ErrorCode } from '../src/errors.ts';
import { isKeelsonError } from '../src/errors.ts';
import { openPlatform, type Platform, type Services } from '../src/open-platform.ts';
import type { ModelVersion } from '../src/registry/model-version.ts';
import type { RegisterOptions } from '../src/registry/register-options.ts';
import { testBackends } from './test-backends.ts';

/** A platform with the people that registries are tested with, in a directory of its own. */
export interface RegistryWorld extends AsyncDisposable {
  readonly dir: string;
  readonly platform: Platform;
  /** Registers and asks. */
  readonly ben: Services;
  /** Approves. */
  readonly ana: Services;
  readonly ceri: Services;
  /** Registers a version of `m` with a content. */
  register(text: string, more?: Partial<RegisterOptions>): Promise<ModelVersion>;
  /** Through Staging into production, by the model's policy as it is by default. */
  toProduction(version: ModelVersion): Promise<void>;
}

export const worldSignature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

export async function openRegistryWorld(
  options: { readonly clock?: Clock; readonly access?: boolean } = {},
): Promise<RegistryWorld> {
  const dir = mkdtempSync(join(tmpdir(), 'keelson-registry-'));
  const silent = (): void => undefined;
  const platform = await openPlatform({
    ...(await testBackends(dir)),
    ...{ dir, principal: { id: 'user:ben', roles: ['trainer'] } },
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
  const as = (id: string, ...roles: string[]): Services =>
    platform.as({ principal: { id, roles } });
  const ana = as('user:ana', 'approver');
  return {
    ...{ dir, platform, ana, ben: platform, ceri: as('user:ceri', 'approver', 'risk') },
    register: (text, more = {}) =>
      platform.registry.register({
        model: 'm',
        from: { files: { 'model.json': Buffer.from(text) } },
        ...{ format: 'JS', signature: worldSignature, ...more },
      }),
    async toProduction({ model, version }) {
      const { registry } = platform;
      await registry.requestTransition({ model, version, to: 'STAGING', reason: 'r' });
      const asked = { model, version, to: 'PRODUCTION', reason: 'r' } as const;
      await ana.registry.approve((await registry.requestTransition(asked)).id);
    },
    async [Symbol.asyncDispose]() {
      await platform.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The error that some work is refused with. */
export async function refusal(
  work: Promise<unknown>,
): Promise<{ readonly code: ErrorCode; readonly message: string }> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}
