import type { Scope } from '../contracts/scope.ts';
import {
  type AccessRules,
  asks,
  asksAll,
  at,
  guard,
  type Need,
  named,
  namedIn,
  resourceOf,
  streams,
} from '../operations/access-guard.ts';
import type { ModelPage } from './model-search.ts';
import type { Model, ModelVersion } from './model-version.ts';
import type { Registry } from './registry.ts';
import type { VersionPage } from './version-search.ts';

const readsModel = asks('model.read', named('model'));
const readsVersion = asks('model.read', named('version'));

/** By id, or by a reference: what an alias or a range means is asked on the model. */
function namedVersion([name]: readonly unknown[]): string | undefined {
  if (typeof name !== 'string' || !name.includes('@')) return resourceOf('version', name);
  return resourceOf('model', name.slice(0, name.lastIndexOf('@')));
}

const readsNamed = asks('model.read', namedVersion);
const readsVersionsAndRuns = asksAll(
  asks('model.read', ([references]) =>
    Array.isArray(references) && references.length > 0
      ? references.map((one) => namedVersion([one]) ?? 'version:')
      : undefined,
  ),
  asks('tracking.read'),
);

/** Who may call what of the registry. */
const rules: AccessRules<Registry> = {
  register: {
    needs([options]) {
      const model: Need = {
        action: 'model.register',
        ...resource('model', at(options, ['model'])),
      };
      const run = at(options, ['from', 'runId']);
      // What is made of a run's artifacts shows them.
      if (run === undefined) return [model];
      return [model, { action: 'tracking.read', ...resource('run', run) }];
    },
  },
  getModel: readsModel,
  findModel: readsModel,
  listModels: {
    ...asks('model.read'),
    items: {
      of: (models: readonly Model[]) => models,
      with: (_all: readonly Model[], kept) => kept,
      resource: (model: Model) => `model:${model.name}`,
    },
  },
  createModel: asks('model.register', namedIn('model', 'name')),
  updateModel: asks('model.update', named('model')),
  stageVersions: readsModel,
  asOf: readsModel,
  setPolicy: asks('model.policy', named('model')),
  getVersion: asks('model.read', named('model')),
  getVersionById: readsVersion,
  listVersions: readsModel,
  productionVersion: readsModel,
  resolve: asks('model.read', ([reference]) => {
    if (typeof reference !== 'string' || !reference.includes('@')) return undefined;
    return resourceOf('model', reference.slice(0, reference.lastIndexOf('@')));
  }),
  setVersionTags: asks('model.update', named('version')),
  updateVersion: asks('model.update', named('version')),
  deprecate: asks('model.delete', named('model')),
  undeprecate: asks('model.delete', named('model')),
  deleteVersion: asks('model.delete', named('model')),
  restoreVersion: asks('model.delete', named('model')),
  deleteModel: asks('model.delete', named('model')),
  restoreModel: asks('model.delete', named('model')),
  setAlias: asks('model.alias', named('model')),
  removeAlias: asks('model.alias', named('model')),
  rollback: asks('model.rollback', named('model')),
  setAutomation: asks('model.policy', namedIn('model', 'model')),
  listAutomations: asks('model.read'),
  pauseAutomation: asks('model.policy'),
  resumeAutomation: asks('model.policy'),
  removeAutomation: asks('model.policy'),
  automationOutcomes: asks('model.read'),
  addCheck: 'local',
  addEffect: 'local',
  download: readsNamed,
  openFile: readsNamed,
  verify: readsNamed,
  sign: asks('model.sign', namedVersion),
  signatures: readsNamed,
  verifySignatures: readsNamed,
  exportSignatures: readsNamed,

  setCard: asks('model.update', named('version')),
  getCard: readsVersion,
  findCard: readsVersion,
  cardHistory: readsVersion,
  // Runs, executions and parents that it names are shown by their ids only.
  cardPage: readsVersion,
  setCardSchema: asks('model.policy', named('model')),
  findCardSchema: readsModel,

  setValidationSuite: asks('model.validate', named('model')),
  removeValidationSuite: asks('model.validate', named('model')),
  getValidationSuite: readsModel,
  listValidationSuites: readsModel,
  validate: asks('model.validate', named('version')),
  getValidation: asks('model.read', named('validation')),
  validationPage: asks('model.read', named('validation')),
  listValidations: readsVersion,
  searchVersions: {
    ...asks('model.read'),
    items: {
      of: (page: VersionPage) => page.versions,
      with: (page: VersionPage, versions) => ({ ...page, versions }),
      resource: ({ model }: ModelVersion) => `model:${model}`,
    },
  },
  eachVersion: streams(asks('model.read')),
  countVersions: asks('model.read'),
  searchModels: {
    ...asks('model.read'),
    items: {
      of: (page: ModelPage) => page.models,
      with: (page: ModelPage, models) => ({ ...page, models }),
      resource: ({ name }: Model) => `model:${name}`,
    },
  },
  compare: readsVersionsAndRuns,
  comparisonPage: readsVersionsAndRuns,
  // It crosses models, runs and executions.
  lineage: asksAll(asks('model.read'), asks('tracking.read'), asks('pipeline.read')),
  impact: asksAll(asks('model.read'), asks('tracking.read')),

  exportModels: asks('model.export', ([options]) => modelsNamed(at(options, ['models']))),
  importModels: asks('model.import'),

  requestTransition: asks('model.promote', ([request]) => {
    const [model, version] = [at(request, ['model']), at(request, ['version'])];
    if (typeof model !== 'string' || typeof version !== 'string')
      return namedIn('model', 'model')([request]);
    return `version:${model}@${version}`;
  }),
  approve: asks('model.approve', named('transition')),
  reject: asks('model.approve', named('transition')),
  withdraw: asks('model.promote', named('transition')),
  getTransition: asks('model.read', named('transition')),
  listTransitions: readsVersion,
};

/** The registry, asking the scope's authorizer before every call. */
export function guardRegistry(scope: Scope, registry: Registry): Registry {
  return guard(scope, registry, rules);
}

function resource(kind: string, name: unknown): { readonly resource?: string } {
  const found = resourceOf(kind, name);
  return found === undefined ? {} : { resource: found };
}

/** Undefined, which is the workspace, where none are named. */
function modelsNamed(names: unknown): readonly string[] | undefined {
  if (!Array.isArray(names) || names.length === 0) return undefined;
  const found = names.map((name) => resourceOf('model', name));
  return found.every((one) => one !== undefined) ? found : undefined;
}
