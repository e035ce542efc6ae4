import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeRecordLine, type RecordLine } from '../../src/archive/record-lines.ts';
import { decodeJson } from '../../src/json.ts';
import {
  type Attested,
  freshSalt,
  saltedDigest,
  textOfRevision,
} from '../../src/operations/audit/attestation.ts';
import { attestedParts } from '../../src/operations/audit/attested-changes.ts';
import {
  bodyOfEntry,
  entryFromRecord,
  sha256,
  textOfEntry,
} from '../../src/operations/audit/audit-entry.ts';
import { auditedKinds } from '../../src/operations/audit/audited.ts';
import type { MovingChain } from '../../src/operations/audit/moving-chain.ts';
import { readMembers, withManifest, writeMembers } from './tampered-export.ts';

/** A line that may be changed. */
// biome-ignore lint/suspicious/noExplicitAny: what is forged has any shape.
export type Line = any;

/** The lines of one model in an export that is a directory. */
export interface ModelLines {
  readonly model: Line[];
  readonly versions: Line[];
  readonly transitions: Line[];
  readonly audit: Line[];
}

const files = ['model', 'versions', 'transitions', 'audit'] as const;

/** The lines of the models in an export, by the models' names. */
export async function modelLines(directory: string): Promise<Map<string, ModelLines>> {
  const found = new Map<string, ModelLines>();
  for (const id of await readdir(join(directory, 'models'))) {
    const lines: Record<string, Line[]> = {};
    for (const file of files) {
      const text = await readFile(join(directory, 'models', id, `${file}.jsonl`), 'utf8');
      lines[file] = text.split('\n').slice(0, -1).map(decodeJson);
    }
    const model = lines as unknown as ModelLines;
    found.set(model.model[0].record.columns.name, model);
  }
  return found;
}

/**
 * Writes an export whose lines were changed, with a manifest and audit chains that fit them: what somebody
 * would make who knows the format, and whom only the laws of the registry stand against.
 */
export async function forge(
  from: string,
  to: string,
  change: (models: Map<string, ModelLines>) => void,
  options: { readonly chains?: boolean } = {},
): Promise<void> {
  const members = await readMembers(from);
  const models = await modelLines(from);
  change(models);
  for (const model of models.values()) {
    if (options.chains !== false) attestAnew(model);
    const { id } = model.model[0].record;
    for (const file of files) {
      const text = model[file].map((line: RecordLine) => encodeRecordLine(line)).join('');
      members.set(`models/${id}/${file}.jsonl`, Buffer.from(text));
    }
  }
  await writeMembers(to, withManifest(members, 'models'));
}

/** Makes the chain of a model fit its records: every revision attested, every digest computed. */
function attestAnew(lines: ModelLines): void {
  const chain = lines.model[0].more.audit as MovingChain & { digest: string };
  const [workspace = ''] = chain.stretches.map((one) => one.workspace);
  const revisions = new Map<string, { attested: Attested; salt: string }>();
  for (const line of [...lines.model, ...lines.versions, ...lines.transitions]) {
    const { kind, id } = line.record;
    const rule = auditedKinds[kind];
    if (rule === undefined) continue;
    for (const entry of line.history) {
      const { revision, by, reason, correlationId, removed } = entry;
      const parts = attestedParts(rule, entry.columns, entry.body);
      const said = { kind, id, revision, ...parts, by, reason, correlationId, removed };
      const salt = freshSalt();
      const digest = saltedDigest(salt, textOfRevision(workspace, said));
      revisions.set(`${kind} ${id} ${revision}`, {
        attested: { kind, id, revision, digest },
        salt,
      });
    }
  }
  let previous = '';
  const entries = lines.audit.filter((line) => line.record.kind === 'audit_entry');
  for (const [i, { record }] of entries.entries()) {
    const attests: Attested[] = [];
    const salts: unknown[] = [];
    const old = JSON.parse(record.columns.salts) as unknown[];
    for (const [at, one] of (record.body.attests as Attested[]).entries()) {
      const key = 'kind' in one ? `${one.kind} ${one.id} ${one.revision}` : '';
      const mine = revisions.get(key);
      if ('kind' in one && mine === undefined) continue;
      attests.push(mine?.attested ?? one);
      salts.push(mine?.salt ?? old[at]);
      revisions.delete(key);
    }
    if (i === entries.length - 1) {
      for (const { attested, salt } of revisions.values()) {
        attests.push(attested);
        salts.push(salt);
      }
    }
    const entry = { ...entryFromRecord(record), attests, previous };
    const digest = sha256(textOfEntry(workspace, entry));
    Object.assign(record.columns, { digest, salts: JSON.stringify(salts) });
    record.body = bodyOfEntry({ ...entry, digest });
    previous = digest;
  }
  chain.digest = previous;
}
