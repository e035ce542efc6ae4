import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { type Json, type JsonObject, storableText } from '../json.ts';
import { contentOf, exists, printedBy, textOf } from '../look-around.ts';

/** Versions of Node and the system, CPU, memory. */
export function machine(): JsonObject {
  const model = cpus()[0]?.model.trim();
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    platform: `${process.platform}-${process.arch}`,
    cpus: availableParallelism(),
    ...(model ? { cpuModel: storableText(model, 200) } : {}),
    memoryBytes: totalmem(),
  };
}

/** NVIDIA's GPUs, as their driver names them; undefined without any. */
export async function captureGpus(): Promise<Json[] | undefined> {
  const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader,nounits'];
  const printed = textOf(await printedBy('nvidia-smi', query, 2 ** 16));
  if (printed === undefined || printed === '') return undefined;
  return printed.split('\n').map((line) => {
    const [name = '', memory = '', driver = ''] = line.split(',').map((part) => part.trim());
    return { name, memoryMegabytes: Number(memory), driver };
  });
}

/**
 * Docker, Podman and Kubernetes leave these marks; the image's name, where Podman does not tell it, only
 * who started the container can: in `KEELSON_IMAGE`. `root` is where the marks are looked for.
 */
export async function captureContainer(root = '/'): Promise<JsonObject | undefined> {
  const [docker, podman, mounts, cgroup] = await Promise.all([
    exists(join(root, '.dockerenv')),
    contentOf(join(root, 'run/.containerenv')),
    contentOf(join(root, 'proc/self/mountinfo')),
    contentOf(join(root, 'proc/self/cgroup')),
  ]);
  const image = process.env['KEELSON_IMAGE'] || /^image="(.*)"$/m.exec(podman ?? '')?.[1];
  const id =
    /\/containers\/([0-9a-f]{64})\//.exec(mounts ?? '')?.[1] ??
    /[/:-]([0-9a-f]{64})(?:\.scope)?$/m.exec(cgroup ?? '')?.[1];
  const runtime = podman !== undefined ? 'podman' : docker ? 'docker' : undefined;
  if (runtime === undefined && !image && id === undefined) return undefined;
  return {
    ...(runtime === undefined ? {} : { runtime }),
    ...(image ? { image: storableText(image, 500) } : {}),
    ...(id === undefined ? {} : { id }),
  };
}
