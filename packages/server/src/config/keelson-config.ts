/** How a platform and its server are set up; `keelson config` prints it. */
export interface KeelsonConfig {
  /** Directory of the embedded default, and of what is local. */
  readonly dir: string;
  readonly workspace: string;
}
