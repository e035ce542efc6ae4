import { isKeelsonError, type Services } from '@keelson/core';
import { invalid, missing } from './errors.ts';
import { defaultId, ownDefaultId } from './experiments.ts';
import { runOf } from './runs.ts';

/** Where a path of an `mlflow-artifacts:` address lies: below a run's artifacts. */
export interface ArtifactPlace {
  readonly runId: string;
  /** Within the run; empty for all of it. */
  readonly path: string;
}

/** The parts of a path as a URL has it. INVALID_PARAMETER_VALUE for what could lead elsewhere. */
export function partsOfUrl(encoded: string): readonly string[] {
  const end = endOf(encoded);
  return encoded
    .slice(0, end)
    .split('/')
    .map((part) => checkPart(decoded(part)));
}

/** The parts of a path as a field has it; none of an empty one. */
export function partsOfField(path: string): readonly string[] {
  const end = endOf(path);
  let start = 0;
  while (start < end && path[start] === '/') start += 1;
  const trimmed = path.slice(start, end);
  return trimmed === '' ? [] : trimmed.split('/').map(checkPart);
}

/** Where slashes begin that a path ends with; by hand, since a regular expression takes the square of their number. */
function endOf(path: string): number {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end -= 1;
  return end;
}

/** A part of a URL's path; INVALID_PARAMETER_VALUE for one that was not encoded rightly. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) throw invalid('Invalid path');
    throw error;
  }
}

// What was encoded may hold what separates parts; clients encode once, an attacker twice.
function checkPart(part: string): string {
  const leads = part === '' || part === '.' || part === '..';
  const twice = /%2e|%2f|%5c/i.test(part);
  // Control characters are refused by what keeps artifacts.
  if (leads || twice || /[/\\]/.test(part)) throw invalid('Invalid path');
  return part;
}

/**
 * The place of `<experiment>/<run>/artifacts/…` and `<experiment>/models/<model>/artifacts/…`.
 * RESOURCE_DOES_NOT_EXIST for a run that is not in that experiment; INVALID_PARAMETER_VALUE for other paths.
 */
export async function placeOf(
  services: Services,
  parts: readonly string[],
): Promise<ArtifactPlace> {
  const [experimentId = '', second = ''] = parts;
  const isModel = second === 'models';
  const [owner = '', folder, ...rest] = parts.slice(isModel ? 2 : 1);
  if (owner === '' || folder !== 'artifacts') throw invalid('Invalid path');
  const root = isModel ? await placeOfModel(services, owner) : { runId: owner, path: '' };
  const run = await runOf(services, root.runId);
  const own = experimentId === defaultId ? await ownDefaultId(services) : experimentId;
  if (run.experimentId !== own)
    throw missing(`Run '${root.runId}' is not in experiment ${experimentId}.`);
  return { runId: root.runId, path: [root.path, ...rest].filter((part) => part !== '').join('/') };
}

/** Where a logged model's files lie. */
export async function placeOfModel(
  { tracking }: Services,
  modelId: string,
): Promise<ArtifactPlace> {
  try {
    const { runId, artifactPath: path } = await tracking.getLoggedModel(modelId);
    return { runId, path };
  } catch (error) {
    if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    throw missing(`Logged model with ID '${modelId.slice(0, 100)}' not found.`);
  }
}
