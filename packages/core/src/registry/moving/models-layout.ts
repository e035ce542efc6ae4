import { createHash } from 'node:crypto';
import { contentDigest } from '../../tracking/export-layout.ts';

/** What exports of the registry say that they hold. */
export const modelsHold = 'models';

/** Where the parts of a model lie. */
export interface ModelPaths {
  /** The model, then its validation suites. */
  readonly model: string;
  /** By number, each version after what hangs on it. */
  readonly versions: string;
  /** By id. */
  readonly transitions: string;
  /** The entries of its chain, each with the events that it attests. */
  readonly audit: string;
}

/** The members of a model; named by its id where that may be a file's name on every system. */
export function modelPaths(id: string): ModelPaths {
  const plain = /^[0-9a-z][0-9a-z-]{0,59}$/.test(id);
  const name = plain ? id : `id-${createHash('sha256').update(id).digest('hex').slice(0, 40)}`;
  return beside(`models/${name}/model.jsonl`);
}

/** The members of the model whose record lies there. */
export function beside(model: string): ModelPaths {
  const at = (file: string): string => model.replace(/model\.jsonl$/, file);
  return {
    model,
    versions: at('versions.jsonl'),
    transitions: at('transitions.jsonl'),
    audit: at('audit.jsonl'),
  };
}

/** Whether a member holds the record of a model. */
export function isModel(path: string): boolean {
  return /^models\/[^/]+\/model\.jsonl$/.test(path);
}

/** Whether a member can be one of an export whose models lie there: content under its own digest, or a model's. */
export function isKnownMember(
  { path, sha256 }: { readonly path: string; readonly sha256: string },
  ofModels: ReadonlySet<string>,
): boolean {
  return ofModels.has(path) || contentDigest(path) === sha256;
}
