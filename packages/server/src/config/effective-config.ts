import type { KeelsonConfig } from './keelson-config.ts';

/** A configuration with where each part of it came from. */
export interface EffectiveConfig {
  readonly values: KeelsonConfig;
  /** By dotted key (`server.port`): `--port`, `KEELSON_PORT`, a file's path, or `default`. */
  readonly sources: Readonly<Record<string, string>>;
  /** The configuration file, where there is one. */
  readonly file: string | undefined;
  /** Where relative paths begin: the file's directory, else the working directory. */
  readonly root: string;
}
