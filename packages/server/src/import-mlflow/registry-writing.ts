import {
  isKeelsonError,
  type Model,
  type ModelVersion,
  type RegisterOptions,
  type Stage,
} from '@keelson/core';
import { mlflowStagePolicy } from '../mlflow/registered-models.ts';
import { quoted } from '../mlflow/search.ts';
import { linkTag, modelIdTag, pointerFile, sourceTag, stageOf } from '../mlflow/version-wire.ts';
import { fitTags, fitText, skipped } from './fit.ts';
import { findImportedModel } from './logged-model-writing.ts';
import type { Writing } from './run-writing.ts';
import type { SourceModel, SourceVersion } from './source.ts';

/** MLflow's number of a version that was imported. */
const numberTag = 'keelson.mlflow.version';
/** Says that an import came to its end with a version. */
const doneTag = 'keelson.import.done';
/** When it was registered in MLflow: epoch ms. */
export const createdTag = 'keelson.mlflow.created_at';

const mostTags = 42;

/** Where the files of a version come from: those of a run that are here, or an address that is kept. */
type Origin =
  | { readonly from: RegisterOptions['from']; readonly modelId?: string }
  | { readonly pointer: string };

/** Brings registered models here, after the runs whose files their versions are. */
export class RegistryWriting {
  readonly #writing: Writing;
  /** Sources of versions, for those that are copies of others: `fraud/3`. */
  readonly #sources = new Map<string, SourceVersion>();

  constructor(writing: Writing) {
    this.#writing = writing;
  }

  async write(model: SourceModel): Promise<void> {
    const { notes } = this.#writing;
    const what = `registered model ${model.name}`;
    for (const version of model.versions) {
      this.#sources.set(`${model.name}/${version.number}`, version);
    }
    await skipped(notes, what, async () => {
      const own = await this.#model(model, what);
      const numbers = new Map<string, ModelVersion>();
      for (const version of model.versions) {
        this.#writing.signal.throwIfAborted();
        const name = `version ${version.number} of ${model.name}`;
        await skipped(notes, name, async () => {
          const imported = await this.#version(model.name, version, name);
          if (imported !== undefined) numbers.set(String(version.number), imported);
        });
        this.#writing.tell();
      }
      await this.#aliases(model, own, numbers);
    });
  }

  async #model(model: SourceModel, what: string): Promise<Model> {
    const { notes, services } = this.#writing;
    const found = await services.registry.findModel(model.name);
    if (found !== undefined) {
      notes.there.models += 1;
      return found;
    }
    const made = await services.registry.createModel({
      ...{ name: model.name, policy: mlflowStagePolicy },
      description: fitText(model.description ?? '', 1_024),
      tags: fitTags(model.tags, mostTags, (key, why) => notes.skip(`tag ${key} of ${what}`, why)),
    });
    notes.added.models += 1;
    return made;
  }

  /** Undefined for one that cannot be here; that is told. */
  async #version(
    model: string,
    version: SourceVersion,
    what: string,
  ): Promise<ModelVersion | undefined> {
    const { notes, services } = this.#writing;
    const { registry } = services;
    const before = await this.#imported(model, version);
    if (before?.tags[doneTag] !== undefined) {
      notes.there.versions += 1;
      return before;
    }
    const own = before ?? (await this.#register(model, version, what));
    if (own === undefined) return undefined;
    const to = stageOf(version.stage);
    if (own.stage !== to) await this.#move(own, to, what);
    // The last of it: what was killed before is done again.
    const done = await registry.updateVersion(own.id, { tags: { [doneTag]: 'mlflow' } });
    notes.added.versions += 1;
    return done;
  }

  async #imported(model: string, version: SourceVersion): Promise<ModelVersion | undefined> {
    const { registry } = this.#writing.services;
    const filter = `tags."${numberTag}" = '${version.number}' AND tags."${sourceTag}" = ${quoted(version.source)}`;
    const search = { model, filter, includeDeleted: true, limit: 1 };
    return (await registry.searchVersions(search)).versions[0];
  }

  async #register(
    model: string,
    version: SourceVersion,
    what: string,
  ): Promise<ModelVersion | undefined> {
    const { notes, signal, services } = this.#writing;
    const origin = await this.#origin(version, 0);
    if (typeof origin === 'string') {
      notes.skip(what, origin);
      return undefined;
    }
    const isPointer = 'pointer' in origin;
    const modelId = version.modelId ?? (isPointer ? undefined : origin.modelId);
    const runId = version.runId ?? '';
    const hasRun = runId !== '' && (await services.tracking.findRun(runId)) !== undefined;
    const kept = {
      ...version.tags,
      [numberTag]: String(version.number),
      [sourceTag]: version.source,
      ...(modelId === undefined ? {} : { [modelIdTag]: await this.#ownId(modelId) }),
      ...(version.runLink === undefined ? {} : { [linkTag]: version.runLink }),
      ...(version.createdAt === undefined ? {} : { [createdTag]: String(version.createdAt) }),
    };
    const bytes = isPointer ? Buffer.from(`${JSON.stringify({ source: origin.pointer })}\n`) : '';
    const options: RegisterOptions = {
      ...{ model, signal, description: fitText(version.description ?? '', 1_024) },
      from: isPointer ? { files: { [pointerFile]: bytes as Buffer } } : origin.from,
      tags: fitTags(kept, 50, (key, why) => notes.skip(`tag ${key} of ${what}`, why)),
      ...(isPointer ? { format: 'CUSTOM' } : {}),
      ...(isPointer && hasRun ? { lineage: { sourceRunId: runId } } : {}),
    };
    return this.#registerAs(version.number, options);
  }

  /** Its number is its semver's first; where that is taken, the next minor one. */
  async #registerAs(number: number, options: RegisterOptions): Promise<ModelVersion> {
    const { registry } = this.#writing.services;
    for (let minor = 0; ; minor += 1) {
      const numbered = { ...options, version: `${number}.${minor}.0` };
      try {
        return await registry.register(numbered);
      } catch (error) {
        if (isKeelsonError(error, 'INVALID') && options.format === undefined) {
          // Files that do not tell their format are a format of their own.
          return this.#registerAs(number, { ...options, format: 'CUSTOM' });
        }
        const isTaken = isKeelsonError(error, 'CONFLICT') && error.details['expected'] === true;
        if (!isTaken || minor === 20) throw error;
      }
    }
  }

  /** Why it cannot be, where it cannot. */
  async #origin(version: SourceVersion, hops: number): Promise<Origin | string> {
    const { source, storage } = version;
    const [, name, number] = /^models:\/+([^/]+)\/(\d+)$/.exec(source) ?? [];
    if (name !== undefined) {
      const copied = this.#sources.get(`${name}/${number}`);
      if (copied === undefined || hops === 10) return `its source ${source} is no version here`;
      return this.#origin(copied, hops + 1);
    }
    const named = /^models:\/+(m-[0-9a-f]{32})$/.exec(source)?.[1];
    for (const modelId of [named, version.modelId]) {
      const found = modelId === undefined ? undefined : await this.#ofLoggedModel(modelId);
      if (found !== undefined) return found;
    }
    for (const text of [storage, source]) {
      const found = text === undefined ? undefined : await this.#ofText(text);
      if (found !== undefined) return found;
    }
    const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(source)?.[1]?.toLowerCase();
    const isHere = ['runs', 'models', 'mlflow-artifacts', 'file'].includes(scheme ?? 'file');
    if (!isHere) return { pointer: source };
    return `its files (${source.slice(0, 200)}) are not among what was imported`;
  }

  async #ofLoggedModel(id: string): Promise<Origin | undefined> {
    const found = await findImportedModel(this.#writing, id);
    if (found === undefined) return undefined;
    const from = { runId: found.runId, path: found.artifactPath };
    return (await this.#hasFiles(from)) ? { from, modelId: id } : undefined;
  }

  /** Addresses tell of a run, or of a logged model, and a path below. */
  async #ofText(source: string): Promise<Origin | undefined> {
    const model = /\/models\/(m-[0-9a-f]{32})\/artifacts\/?$/.exec(source)?.[1];
    if (model !== undefined) return this.#ofLoggedModel(model);
    const [, direct, below = ''] = /^runs:\/+([^/]+)\/(.*)$/.exec(source) ?? [];
    const [, runId = direct, path = below] =
      /\/([^/]{1,64})\/artifacts(?:\/(.*))?$/.exec(source) ?? [];
    if (runId === undefined) return undefined;
    const from = { runId, path: path.replace(/\/+$/, '') };
    if (await this.#hasFiles(from)) return { from };
    // From MLflow 3 on `runs:/<run>/<name>` is a logged model of the run.
    const filter = `name = ${quoted(from.path)} AND source_run_id = ${quoted(runId)}`;
    const found = await this.#writing.services.tracking.searchLoggedModels({ filter, limit: 1 });
    const [logged] = found.models;
    if (logged === undefined) return undefined;
    return { from: { runId: logged.runId, path: logged.artifactPath } };
  }

  async #hasFiles({ runId, path }: { runId: string; path: string }): Promise<boolean> {
    const { tracking } = this.#writing.services;
    if ((await tracking.findRun(runId)) === undefined) return false;
    const prefix = path === '' ? {} : { prefix: path };
    return (await tracking.listArtifacts(runId, { ...prefix, limit: 1 })).artifacts.length > 0;
  }

  async #ownId(modelId: string): Promise<string> {
    return (await findImportedModel(this.#writing, modelId))?.id ?? modelId;
  }

  async #move({ model, version, stage }: ModelVersion, to: Stage, what: string): Promise<void> {
    const { notes, services } = this.#writing;
    const reason = 'imported from MLflow';
    await skipped(notes, `stage ${to} of ${what}`, async () => {
      const asked = await services.registry.requestTransition({
        ...{ model, version, to, reason, confirm: true },
      });
      if (asked.status === 'DONE' || asked.status === 'APPLYING') return;
      const why = `its policy lets it not get there at once (${asked.status}); it stays in ${stage}`;
      notes.skip(`stage ${to} of ${what}`, why);
    });
  }

  async #aliases(
    model: SourceModel,
    own: Model,
    numbers: ReadonlyMap<string, ModelVersion>,
  ): Promise<void> {
    const { notes, services } = this.#writing;
    for (const [alias, number] of Object.entries(model.aliases)) {
      const version = numbers.get(number);
      const what = `alias ${alias} of ${model.name}`;
      if (version === undefined) {
        notes.skip(what, `its version ${number} is not here`);
      } else if (Object.hasOwn(own.aliases, alias)) {
        // Whoever has moved it here since knows better.
        notes.there.aliases += 1;
      } else {
        const done = await skipped(notes, what, () =>
          services.registry.setAlias(model.name, alias, version.version),
        );
        if (done) notes.added.aliases += 1;
      }
    }
  }
}
