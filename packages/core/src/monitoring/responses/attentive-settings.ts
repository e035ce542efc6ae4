import type { Scope } from '../../contracts/scope.ts';
import type {
  PredictionSettingsKeeper,
  StoredPredictionSettings,
} from '../predictions/prediction-settings.ts';

/** The settings of predictions, with all rows kept while more attention is paid to a deployment (but for a budget). */
export function attentiveSettings(
  { metadata, workspace, clock }: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  keeper: Pick<PredictionSettingsKeeper, 'get'>,
): Pick<PredictionSettingsKeeper, 'get'> {
  return {
    async get(deploymentId): Promise<StoredPredictionSettings> {
      const [settings, attention] = await Promise.all([
        keeper.get(deploymentId),
        metadata.find(workspace, 'attention', deploymentId),
      ]);
      const until = attention?.columns['until'] as number | undefined;
      const { sampling } = settings;
      if (sampling === undefined || until === undefined || until <= clock.now()) return settings;
      const { strata: _, ...rest } = sampling;
      // Another revision than that of the settings themselves, so that either is known apart.
      return { ...settings, sampling: { ...rest, rate: 1 }, revision: -1 - settings.revision };
    },
  };
}
