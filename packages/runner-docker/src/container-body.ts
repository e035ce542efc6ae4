import { rankVariables } from '@keelson/core/executors';
import { type RunnerOptions, userOf } from './runner-options.ts';
import { labelsOf } from './task-labels.ts';
import { environmentOf, mountsOf } from './task-paths.ts';
import type { UnitSpec } from './task-units.ts';

/** Where rank 0 listens, as PyTorch's launcher does; each container has its ports to itself. */
export const masterPort = 29_500;

/**
 * Whatever the engine's default is: a log that can be read again, byte for byte. The older `json-file` replaces
 * characters that it has cut in two, every 16 KiB of a line.
 */
export const logConfig = {
  Type: 'local',
  Config: { 'max-size': '1g', 'max-file': '2', compress: 'false' },
};

/** Where the processes of a gang meet. */
export interface GangMaster {
  readonly address: string;
  readonly port: number;
}

/**
 * A container as the engine's API makes one. It can do as little as its task allows: no capabilities, no new
 * privileges, a read-only root, no network unless asked for, and the limits that it was given. Docker's own
 * init is its first process, which reaps what is left and passes signals on.
 */
export function containerBody(
  { id, rank, facts, spec }: UnitSpec,
  options: RunnerOptions,
  gang: { readonly networkId?: string; readonly master: GangMaster },
): object {
  const { resources, devices } = spec;
  const { memoryBytes, cpuCores } = resources;
  const mounts = mountsOf(spec);
  const entry = spec.entry.type === 'image' ? spec.entry : undefined;
  const variables = {
    ...environmentOf(spec, mounts),
    ...rankVariables(spec.gang, rank, gang.master),
  };
  const { tmpBytes = 64 * 2 ** 20, pidsLimit = 4096 } = options;
  return {
    Image: entry?.image,
    // What is given is run, whatever the image would have done with it.
    ...(entry?.command === undefined ? {} : { Entrypoint: entry.command, Cmd: [] }),
    Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`),
    Labels: labelsOf(id, rank, facts, spec.labels),
    User: userOf(options),
    HostConfig: {
      ...(memoryBytes === undefined ? {} : { Memory: memoryBytes, MemorySwap: memoryBytes }),
      ...(cpuCores === undefined ? {} : { NanoCpus: Math.round(cpuCores * 1e9) }),
      PidsLimit: pidsLimit,
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${tmpBytes}` },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Init: true,
      NetworkMode: gang.networkId ?? entry?.network ?? 'none',
      RestartPolicy: { Name: 'no' },
      LogConfig: logConfig,
      Mounts: mounts.map(({ source, target, readOnly }) => ({
        ...{ Type: 'bind', Source: source, Target: target, ReadOnly: readOnly },
      })),
      ...(devices === undefined || devices.length === 0
        ? {}
        : {
            DeviceRequests: [{ Driver: '', DeviceIDs: devices, Capabilities: [['gpu']] }],
          }),
    },
  };
}
