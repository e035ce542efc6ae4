import { BatchMaking } from './batch-making.ts';
import { type PredictionSettingsKeeper, settingsLagMs } from './prediction-settings.ts';

const remembered = 1000;

/** The settings by which rows are stored: asked of the store at most every ten seconds, never on the path of requests. */
export class SettingsInForce {
  readonly #keeper: Pick<PredictionSettingsKeeper, 'get'>;
  readonly #known = new Map<
    string,
    { readonly at: number; readonly revision: number; readonly making: BatchMaking }
  >();

  constructor(keeper: Pick<PredictionSettingsKeeper, 'get'>) {
    this.#keeper = keeper;
  }

  /** Those known, at most ten seconds old. Rejects where the store does not answer. */
  async of(deploymentId: string): Promise<BatchMaking> {
    const known = this.#known.get(deploymentId);
    const now = performance.now();
    if (known !== undefined && now - known.at < settingsLagMs * 0.8) return known.making;
    const settings = await this.#keeper.get(deploymentId);
    const isSame = known?.revision === settings.revision;
    const making = isSame && known !== undefined ? known.making : new BatchMaking(settings);
    if (this.#known.size >= remembered) this.#known.clear();
    this.#known.set(deploymentId, { at: now, revision: settings.revision, making });
    return making;
  }

  /** What was last known, however old. */
  lastOf(deploymentId: string): BatchMaking | undefined {
    return this.#known.get(deploymentId)?.making;
  }

  /** What this process itself has changed counts at once. */
  forget(deploymentId: string): void {
    this.#known.delete(deploymentId);
  }
}
