import type { EngineTls } from './engine-place.ts';
import type { RegistryAuth } from './registry-auth.ts';

/** When images are pulled, in the words of `docker run --pull`. */
export type PullPolicy = 'missing' | 'always' | 'never';

/** How an executor finds its engine, and how it treats containers there. */
export interface RunnerOptions {
  /** What steps call it; `docker` and `swarm` when left out. */
  readonly name?: string;
  /** As `DOCKER_HOST`: `unix:///path` or `tcp://host:port`. What the environment says, when left out. */
  readonly host?: string;
  readonly tls?: EngineTls;
  /**
   * A directory that the engine's machines see under the same path, for the files of tasks. Needed where the
   * engine is on another machine; this platform's own when left out.
   */
  readonly workRoot?: string;
  /** When images are pulled: where the engine has none (`missing`, when left out), for each task, or never. */
  readonly pull?: PullPolicy;
  /** For registries that ask who one is; one for each registry, where there are several. */
  readonly registryAuth?: RegistryAuth | readonly RegistryAuth[];
  /**
   * Whom containers run as; this process's user and group when left out, and 65534:65534 (nobody) when that
   * is root.
   */
  readonly user?: string;
  /** Processes and threads of a container at most; 4096 when left out. */
  readonly pidsLimit?: number;
  /** Bytes of /tmp, which lies in memory; 64 MiB when left out. The rest of a container's root is read-only. */
  readonly tmpBytes?: number;
  /** What may be reserved; what the engine has when left out. Devices are those of the engine's machine. */
  readonly capacity?: {
    readonly cpuCores?: number;
    readonly memoryBytes?: number;
    readonly devices?: readonly { readonly id: string; readonly type: string }[];
  };
  /** How long requests are repeated that find no engine, such as while it restarts; 30 s when left out. */
  readonly patienceMs?: number;
}

/** {@link RunnerOptions.user}, decided. */
export function userOf({ user }: RunnerOptions): string {
  if (user !== undefined) return user;
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  return uid === 0 ? '65534:65534' : `${uid}:${gid}`;
}
