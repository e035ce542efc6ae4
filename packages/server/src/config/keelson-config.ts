import type { PlatformOptions } from '@keelson/core';

/** How much is logged to stderr. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * How a platform and its server are set up: what `keelson.config.ts`, `.json` or `.yaml` holds, nested by dots. The table
 * of keys, with defaults and examples, is in `docs/command-line.md`; `keelson config` prints what is in force.
 */
export interface KeelsonConfig {
  /** Directory of the embedded default, and of what is local (spools, caches). */
  readonly dir: string;
  readonly workspace: string;
  /** Records: `sqlite:` (in the directory), or `postgres://…`. */
  readonly store: string;
  /** Points and predictions; where the records are when left out. */
  readonly series?: string;
  /** Contents: `file:` (in the directory), or `s3://bucket/prefix?region=…&endpoint=…`. */
  readonly artifacts: string;
  /** Whether roles, keys and permissions are enforced. */
  readonly access: boolean;
  /** Said a second time, where the address of a store beyond this machine says that it is not encrypted. */
  readonly insecure: boolean;
  readonly log: {
    readonly level: LogLevel;
    readonly format: 'text' | 'json';
  };
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly basePath: string;
    readonly slowClientMs: number;
    /** 0 for no limit. */
    readonly maxConnections: number;
    /** How long requests under way may take after SIGTERM. */
    readonly graceMs: number;
    /** How many proxies stand before the server. */
    readonly behindProxy: number;
    readonly tlsCert?: string;
    readonly tlsKey?: string;
    readonly tlsClientCa?: string;
    readonly tlsMinVersion: '1.2' | '1.3';
    /** 0 for no limit. */
    readonly requestsPerSecond: number;
    /** Of `api`, `worker` and `monitor`, with commas. */
    readonly roles: string;
    /** Whether this process does what happens in the background: pipelines, rollouts, checks. */
    readonly background: boolean;
  };
  /**
   * What only code can say (executors, notifiers, keys, a store of one's own): options of `openPlatform`, which outrank
   * the keys above. In `keelson.config.ts` alone.
   */
  readonly platform?: PlatformOptions;
}

/** A configuration as somebody writes it: all of it may be left out. */
export type ConfigInput = {
  readonly [K in keyof KeelsonConfig]?: KeelsonConfig[K] extends string | number | boolean
    ? KeelsonConfig[K]
    : Partial<KeelsonConfig[K]>;
};

/** Types what `keelson.config.ts` exports: `export default defineConfig({ … })`. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}
