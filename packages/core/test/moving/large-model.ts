import type { Services } from '../../src/open-platform.ts';

/** A model with so many versions that no commit holds it; each came of the one before. */
export async function largeModel(
  { registry }: Pick<Services, 'registry'>,
  model: string,
  versions: number,
): Promise<void> {
  let parents: readonly string[] = [];
  for (let i = 1; i <= versions; i += 1) {
    const { id } = await registry.register({
      model,
      from: {
        files: { 'model.json': Buffer.from(`${model} ${i}`), 'same.txt': Buffer.from('same') },
      },
      format: 'CUSTOM',
      bump: 'minor',
      metrics: { i },
      lineage: { parentVersionIds: parents },
    });
    parents = [id];
  }
}
