import semver from 'semver';
import type { RecordLine } from '../../archive/record-lines.ts';
import type { ArrivingModel } from './arriving-model.ts';
import { invalid } from './arriving-model.ts';

/** What is kept of a version while its model is read. */
interface SeenVersion {
  readonly version: string;
  readonly stage: string;
  readonly isDeleted: boolean;
  readonly aliases: readonly string[];
  readonly replacementId: string | undefined;
}

/**
 * Holds the versions and transitions of a model to what its record owns: numbers without gaps, no semver
 * twice, one version in production where the policy says so, pointers that lead to what is there. INVALID,
 * naming what does not fit.
 */
export class ModelLaw {
  readonly #model: ArrivingModel;
  readonly #path: string;
  readonly #versions = new Map<string, SeenVersion>();
  readonly #names = new Set<string>();
  #greatest: string | undefined;

  constructor(model: ArrivingModel, path: string) {
    this.#model = model;
    this.#path = path;
  }

  version({ record }: RecordLine): void {
    const { columns, facets, id } = record;
    const [number, version] = [Number(columns['number']), String(columns['version'])];
    const expected = this.#versions.size + 1;
    if (number !== expected) {
      this.#refuse(`has version number ${number} (${version}) where number ${expected} belongs`);
    }
    if (this.#names.has(version)) this.#refuse(`has version ${version} twice`);
    if (this.#versions.has(id)) this.#refuse(`has version ${id} twice`);
    this.#names.add(version);
    if (this.#greatest === undefined || semver.gt(version, this.#greatest))
      this.#greatest = version;
    this.#versions.set(id, {
      version,
      stage: String(columns['stage']),
      isDeleted: columns['deletedAt'] !== undefined,
      aliases: Object.keys(facets['aliases'] ?? {}),
      replacementId: columns['replacementId'] as string | undefined,
    });
  }

  transition({ record }: RecordLine): void {
    const versionId = String(record.columns['versionId']);
    if (this.#versions.has(versionId)) return;
    this.#refuse(`has transition ${record.id} of version ${versionId}, which is not there`);
  }

  /** After all versions. */
  end(): void {
    const { columns, body } = this.#model.line.record;
    const [last, count] = [columns['lastNumber'], this.#versions.size];
    if (last !== count) this.#refuse(`has ${count} versions, and its record says ${String(last)}`);
    const greatest = body['greatestVersion'];
    if ((greatest ?? undefined) !== this.#greatest) {
      this.#refuse(`says that its greatest version is ${String(greatest)}, not ${this.#greatest}`);
    }
    this.#pointer('latestVersionId');
    this.#pointer('productionVersionId');
    for (const { version, replacementId } of this.#versions.values()) {
      if (replacementId === undefined || this.#versions.has(replacementId)) continue;
      this.#refuse(`has ${replacementId} in place of version ${version}, which is not there`);
    }
    // One that is being purged points to nothing; what its versions say of themselves stays behind.
    if (columns['purgedAt'] !== undefined) return;
    this.#production();
    this.#aliases();
  }

  #pointer(name: string): void {
    const id = this.#model.line.record.columns[name];
    if (id === undefined || this.#versions.has(String(id))) return;
    this.#refuse(`names version ${String(id)} as ${name}, which is not there`);
  }

  #production(): void {
    const { columns, body } = this.#model.line.record;
    const inProduction = [...this.#versions].filter(
      ([, { stage, isDeleted }]) => stage === 'PRODUCTION' && !isDeleted,
    );
    const { singleProduction } = body['policy'] as { readonly singleProduction?: unknown };
    if (singleProduction === true && inProduction.length > 1) {
      const which = inProduction.map(([, { version }]) => version).join(' and ');
      this.#refuse(`has ${which} in production, where its policy allows one`);
    }
    const id = columns['productionVersionId'];
    if (id !== undefined && !inProduction.some(([one]) => one === id)) {
      this.#refuse(`says that version ${String(id)} is in production, and it is not`);
    }
  }

  #aliases(): void {
    const aliases = (this.#model.line.record.body['aliases'] ?? {}) as Readonly<
      Record<string, string>
    >;
    for (const [alias, id] of Object.entries(aliases)) {
      const target = this.#versions.get(id);
      if (target === undefined || target.isDeleted) {
        this.#refuse(`has the alias ${alias} of version ${id}, which is not there`);
      }
    }
    for (const [id, { version, aliases: named, isDeleted }] of this.#versions) {
      if (isDeleted) continue;
      const own = Object.keys(aliases).filter((alias) => aliases[alias] === id);
      if (own.length === named.length && own.every((alias) => named.includes(alias))) continue;
      this.#refuse(
        `has version ${version} under the aliases ${named.join(', ') || 'none'}, and its record says ${own.join(', ') || 'none'}`,
      );
    }
  }

  #refuse(why: string): never {
    throw invalid(this.#path, why);
  }
}
