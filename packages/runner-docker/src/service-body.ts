import { rankVariables } from '@keelson/core/executors';
import { type GangMaster, logConfig } from './container-body.ts';
import { type RunnerOptions, userOf } from './runner-options.ts';
import { labelsOf, unitName } from './task-labels.ts';
import { environmentOf, mountsOf } from './task-paths.ts';
import type { UnitSpec } from './task-units.ts';

/** A job of one container as the engine's API makes a service, with the same bounds as a container of its own. */
export function serviceBody(
  { id, rank, facts, spec }: UnitSpec,
  options: RunnerOptions,
  gang: { readonly network?: string; readonly master: GangMaster },
): object {
  const { resources, devices = [] } = spec;
  const { memoryBytes, cpuCores, nodeSelector = {}, gpuType = 'NVIDIA-GPU' } = resources;
  const mounts = mountsOf(spec);
  const entry = spec.entry.type === 'image' ? spec.entry : undefined;
  const variables = {
    ...environmentOf(spec, mounts),
    ...rankVariables(spec.gang, rank, gang.master),
  };
  const labels = labelsOf(id, rank, facts, spec.labels);
  const { tmpBytes = 64 * 2 ** 20, pidsLimit = 4096 } = options;
  const amounts = {
    ...(cpuCores === undefined ? {} : { NanoCPUs: Math.round(cpuCores * 1e9) }),
    ...(memoryBytes === undefined ? {} : { MemoryBytes: memoryBytes }),
  };
  return {
    Name: unitName(id, rank),
    Labels: labels,
    Mode: { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } },
    // The name leads to the container itself, without a balancer between.
    ...(gang.network === undefined ? {} : { EndpointSpec: { Mode: 'dnsrr' } }),
    TaskTemplate: {
      ContainerSpec: {
        Image: entry?.image,
        ...(entry?.command === undefined ? {} : { Command: entry.command, Args: [] }),
        Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`),
        Labels: labels,
        User: userOf(options),
        ReadOnly: true,
        Init: true,
        CapabilityDrop: ['ALL'],
        // Since Docker 27; engines of before leave it out.
        Privileges: { NoNewPrivileges: true },
        StopGracePeriod: spec.graceMs * 1e6,
        Mounts: [
          ...mounts.map(({ source, target, readOnly }) => ({
            ...{ Type: 'bind', Source: source, Target: target, ReadOnly: readOnly },
          })),
          { Type: 'tmpfs', Target: '/tmp', TmpfsOptions: { SizeBytes: tmpBytes, Mode: 0o1777 } },
        ],
      },
      Resources: {
        Limits: { ...amounts, Pids: pidsLimit },
        Reservations: {
          ...amounts,
          ...(devices.length === 0
            ? {}
            : {
                GenericResources: [
                  { DiscreteResourceSpec: { Kind: gpuType, Value: devices.length } },
                ],
              }),
        },
      },
      RestartPolicy: { Condition: 'none', MaxAttempts: 0 },
      Placement: {
        Constraints: Object.entries(nodeSelector).map(
          ([label, value]) => `node.labels.${label}==${value}`,
        ),
      },
      LogDriver: { Name: logConfig.Type, Options: logConfig.Config },
      ...(gang.network === undefined ? {} : { Networks: [{ Target: gang.network }] }),
    },
  };
}
