import { createHash } from 'node:crypto';
import type { JsonObject } from './json.ts';
import { describeOwner, type OwnerState, ownerState } from './process-owner.ts';
import { uuidV7 } from './uuid.ts';

/** A new name for an upload, from which others can tell whether its process still lives. */
export function uploadName(): string {
  const owner = describeOwner();
  return `${hostTag(owner)}-${owner['pid']}-${owner['startTime']}-${uuidV7()}`;
}

/** Whether the process that took an {@link uploadName} lives, as far as this one can tell. */
export function uploaderState(name: string): OwnerState {
  const [tag, pid, startTime] = name.split('-');
  const self = describeOwner();
  if (tag !== hostTag(self)) return 'unknown';
  const owner: JsonObject = { ...self, pid: Number(pid), startTime: startTime ?? '', instance: '' };
  return ownerState(owner);
}

function hostTag(owner: JsonObject): string {
  const host = JSON.stringify([owner['host'], owner['bootId'], owner['pidSpace']]);
  return createHash('sha256').update(host).digest('hex').slice(0, 12);
}
