/** How far a backup, its verification or its restoration is. */
export interface BackupProgress {
  readonly phase: 'database' | 'contents';
  readonly contents: number;
  readonly totalContents: number;
  readonly bytes: number;
}

/** What a backup holds. */
export interface BackupReport {
  /** Absolute. */
  readonly dir: string;
  /** Epoch ms: all that was durable before is in it, and maybe some of what came just after. */
  readonly at: number;
  readonly databaseBytes: number;
  readonly contents: number;
  readonly contentBytes: number;
  /** Contents that records name and that the platform itself did not have any more; mostly empty. */
  readonly lacking: readonly {
    readonly workspace: string;
    readonly sha256: string;
    readonly by: string;
    readonly problem: string;
  }[];
}
