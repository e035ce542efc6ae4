import type { Logger, ScalingConfig } from '@keelson/core';
import type { ReplicaPool } from '../replicas/replica-pool.ts';
import type { ServingSource } from '../serving-source.ts';
import type { VersionShelf } from './version-shelf.ts';

/** Whose replicas follow the load, and who is told. */
export interface LoadFollowerOptions {
  readonly deployment: string;
  readonly versions: Pick<VersionShelf, 'values'>;
  readonly source: Pick<ServingSource, 'scaled'>;
  readonly logger: Logger | undefined;
}

const everyMs = 250;

/** Keeps the replicas of a deployment's versions at what is declared, or at what the load asks for. */
export class LoadFollower {
  readonly #options: LoadFollowerOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LoadFollowerOptions) {
    this.#options = options;
  }

  /**
   * As many replicas as are declared, or as the load asks for from now on; where something keeps those that there are,
   * the load does not make them fewer.
   */
  follow(scaling: ScalingConfig | undefined, replicas: number, keep?: string): void {
    this.stop();
    if (scaling === undefined) {
      for (const { pool } of this.#options.versions.values()) {
        if (pool.wanted !== replicas && pool.isScalable) this.#resize(pool, replicas);
      }
      return;
    }
    this.#timer = setInterval(() => this.#followLoad(scaling, keep), everyMs).unref();
  }

  #resize(pool: ReplicaPool, replicas: number): void {
    pool.resize(replicas).catch((error: unknown) => {
      const { deployment, logger } = this.#options;
      logger?.error({ deployment, error }, 'A replica could not be started.');
    });
  }

  #followLoad(scaling: ScalingConfig, keep: string | undefined): void {
    for (const { model, pool, scaler } of this.#options.versions.values()) {
      const change = pool.isScalable ? scaler.tick(scaling, keep) : undefined;
      if (change === undefined) continue;
      const { oldReplicas, replicas: newReplicas, reason } = change;
      const { deployment, source, logger } = this.#options;
      const facts = { deployment, version: model.version, oldReplicas, newReplicas, reason };
      logger?.info(facts, 'Replicas follow the load.');
      const why = `${model.version}: ${reason}`;
      source.scaled?.(deployment, { oldReplicas, newReplicas, reason: why }).catch((error) => {
        logger?.warn({ deployment, error }, 'That replicas follow the load could not be told.');
      });
    }
  }

  /** The numbers stay as they are from now on. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
