import { randomInt } from 'node:crypto';
import type { HealthCheck } from '../contracts/caretaker.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { schedules } from '../operations/health/check-schedules.ts';
import { type FileProblem, flagDamage, problemOf } from './damage.ts';
import { is, lacks } from './model-records.ts';
import type { ModelFile } from './model-version.ts';

const newest = 5;
/** How many others are looked at each time, in turn: all of them in the end. */
const others = 20;
/** Of what is read in one look, half of it for the newest. */
const maxBytes = 64 * 1_048_576;
/** Of a file that is larger than what may still be read, a part somewhere in it. */
const partBytes = 8 * 1_048_576;
const named = 5;

/**
 * Whether the files of versions are what was registered: the newest ones each time, the others in turn, parts of
 * large files. What is found damaged is flagged; versions that are flagged are named until they are whole again.
 */
export function damageCheck(scope: Scope): HealthCheck {
  let after: string | undefined;
  return {
    ...{ name: 'recent versions', component: 'registry', critical: false, kind: 'deep' },
    ...{ shared: true, ...schedules.performance, failureThreshold: 1, timeoutMs: 120_000 },
    async run(signal) {
      const recent = await newestVersions(scope);
      const turn = await nextVersions(scope, after);
      after = turn.length < others ? undefined : turn.at(-1)?.id;
      const look = new Look(scope, signal);
      await look.at(recent, maxBytes / 2);
      await look.at(turn, maxBytes / 2);
      const flagged = await flaggedVersions(scope);
      const details = {
        versions: recent.length + turn.length,
        files: look.files,
        problems: flagged.count,
      };
      if (flagged.count === 0) {
        const message = 'The files of the versions that were looked at are what was registered.';
        return { status: 'HEALTHY', message, details };
      }
      return { status: 'UNHEALTHY', message: flagged.names.join('; '), details };
    },
  };
}

class Look {
  readonly #scope: Scope;
  readonly #signal: AbortSignal;
  files = 0;

  constructor(scope: Scope, signal: AbortSignal) {
    this.#scope = scope;
    this.#signal = signal;
  }

  async at(versions: readonly StoredRecord[], budget: number): Promise<void> {
    let left = budget;
    for (const { id, body } of versions) {
      const problems: FileProblem[] = [];
      for (const file of (body['files'] ?? []) as unknown as readonly ModelFile[]) {
        if (left <= 0) break;
        this.files += 1;
        const whole = file.sizeBytes <= left;
        left -= Math.min(file.sizeBytes, partBytes, left);
        const problem = whole ? await this.#whole(file) : await this.#part(file);
        if (problem !== undefined) problems.push(problem);
      }
      if (problems.length > 0) await flagDamage(this.#scope, id, problems);
    }
  }

  #whole(file: ModelFile): Promise<FileProblem | undefined> {
    return problemOf(this.#scope, file, this.#signal);
  }

  /** What a part shows is looked at as a whole before anybody is told. */
  async #part(file: ModelFile): Promise<FileProblem | undefined> {
    const start = randomInt(Math.max(1, file.sizeBytes - partBytes));
    const end = Math.min(file.sizeBytes, start + partBytes);
    try {
      const stream = await this.#scope.artifacts.open(file.sha256, { start, end }, this.#signal);
      for await (const _ of stream);
      return undefined;
    } catch (error) {
      if (!isKeelsonError(error, 'CORRUPT', 'NOT_FOUND', 'INVALID')) throw error;
      return await this.#whole(file);
    }
  }
}

async function newestVersions({ metadata, workspace }: Scope): Promise<readonly StoredRecord[]> {
  const by = { from: 'column', name: 'createdAt' } as const;
  const query = { where: lacks('purgedAt'), limit: newest } as const;
  const orderBy = [{ by, direction: 'desc' }] as const;
  return (await metadata.query(workspace, 'model_version', { ...query, orderBy })).records;
}

async function nextVersions(
  { metadata, workspace }: Scope,
  after: string | undefined,
): Promise<readonly StoredRecord[]> {
  const by = { from: 'column', name: 'id' } as const;
  const behind = { op: 'compare', left: by, cmp: '>', value: after ?? '' } as const;
  const { records } = await metadata.query(workspace, 'model_version', {
    where: { op: 'and', of: [lacks('purgedAt'), behind] },
    orderBy: [{ by, direction: 'asc' }],
    limit: others,
  });
  return records;
}

async function flaggedVersions({
  metadata,
  workspace,
}: Scope): Promise<{ readonly count: number; readonly names: readonly string[] }> {
  const where = { op: 'and', of: [is('status', 'FAILED'), lacks('purgedAt')] } as const;
  const { records } = await metadata.query(workspace, 'model_version', { where, limit: 1000 });
  const names = records
    .slice(0, named)
    .map(({ id, columns: c }) => `${c['modelName']}@${c['version']} (${id}) ${c['failure']}`);
  return { count: records.length, names };
}
