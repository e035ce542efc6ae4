import type { MetadataStore } from '../../contracts/metadata-store.ts';
import type { KindDeclaration } from '../../contracts/record.ts';
import type { MetadataStoreHarness } from '../metadata/scene.ts';
import { ReferenceMetadataStore } from './reference-metadata-store.ts';
import { ReferenceWorld } from './reference-world.ts';

/** Opens the reference store for the suite, with a clock that the suite moves. */
export class ReferenceHarness implements MetadataStoreHarness {
  readonly world: ReferenceWorld = new ReferenceWorld();
  readonly clock: { advance(ms: number): void } = {
    advance: (ms) => {
      this.world.time += Math.ceil(ms);
    },
  };
  #kinds: readonly KindDeclaration[] = [];
  readonly #opened: MetadataStore[] = [];

  async open(kinds: readonly KindDeclaration[]): Promise<MetadataStore> {
    this.#kinds = kinds;
    return await this.openSecond();
  }

  async openSecond(): Promise<MetadataStore> {
    const store = new ReferenceMetadataStore(this.world, this.#kinds);
    this.#opened.push(store);
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#opened.map((store) => store.close()));
  }
}
