import { createHash } from 'node:crypto';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';

// Names that Windows keeps for devices.
const device = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/**
 * The directory of a workspace: its name where that is harmless in every file system, otherwise `=`
 * and the SHA-256 of the name. No two workspaces share one. INVALID for what no workspace is called.
 */
export function workspaceDirectory(workspace: string): string {
  assertText(workspace, 'The workspace', 255);
  if (workspace === '') throw new KeelsonError('INVALID', 'The workspace has no name.');
  if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(workspace) && !device.test(workspace)) return workspace;
  return `=${createHash('sha256').update(workspace).digest('hex')}`;
}
