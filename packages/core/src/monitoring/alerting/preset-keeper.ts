import type { RuleStore } from './alert-rules.ts';
import { checkPresetSettings, type PresetOptions, presetRules } from './rule-presets.ts';

/** Keeps the preset rules of deployments in line with what is set up. */
export interface PresetKeeper {
  /** Puts those that are to be there, takes the others away; answers the names of those in force. */
  set(
    deployment: { readonly name: string },
    team: string | undefined,
    options: {
      readonly rules?: Readonly<Record<string, unknown>> | false;
      readonly routes?: readonly string[];
    },
  ): Promise<readonly string[]>;
  remove(deployment: string): Promise<void>;
}

/** {@link PresetKeeper} over the rules of a scope. A rule that somebody has put under the name of a preset stays theirs. */
export function createPresetKeeper(store: RuleStore): PresetKeeper {
  async function keep(deployment: string, wanted: readonly string[]): Promise<void> {
    for (const { name, preset, ...rule } of await store.list({ deployment })) {
      if (rule.deployment !== deployment || preset !== true || wanted.includes(name)) continue;
      await store.remove(name, { deployment, reason: 'set up otherwise' });
    }
  }

  return {
    async set({ name: deployment }, team, { rules = {}, routes }) {
      const options: PresetOptions = {
        deployment,
        rules: checkPresetSettings(rules === false ? {} : rules),
        ...(routes === undefined ? {} : { routes }),
        ...(team === undefined ? {} : { labels: { team } }),
      };
      const wanted = rules === false ? [] : presetRules(options);
      for (const rule of wanted) {
        const found = await store.find(rule.name, { deployment });
        if (found === undefined || found.preset === true) await store.put(rule, 'set up by itself');
      }
      const names = wanted.map(({ name }) => name);
      await keep(deployment, names);
      return names;
    },

    remove: (deployment) => keep(deployment, []),
  };
}
