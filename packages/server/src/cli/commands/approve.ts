import { KeelsonError, type Platform } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';
import { findVersion } from '../looking/find-by-id.ts';

/** `keelson approve`. */
export const command: Command = defineCommand({
  positionals: { transition: { summary: 'Its id, or the version that waits, such as fraud@2' } },
  options: {
    comment: { type: 'text', summary: 'What to add to it' },
    reject: { type: 'flag', summary: 'Reject it instead' },
  },
  examples: [
    ['keelson approve fraud@1.4.0 --comment "looked at"', 'What this version waits for'],
    ['keelson approve fraud@1.4.0 --reject --comment "too slow"', 'Not that one'],
  ],
  async run({ positionals, options, out, platform }) {
    const opened = await platform();
    const { registry } = opened;
    const id = await transitionOf(opened, positionals.transition);
    const comment = options.comment === undefined ? {} : { comment: options.comment };
    const done = options.reject
      ? await registry.reject(id, comment)
      : await registry.approve(id, comment);
    const version = await registry.getVersionById(done.versionId);
    out.show(done, (view) => {
      const name = `${version.model}@${version.version}`;
      const said =
        done.status === 'PENDING'
          ? `Approved; ${name} waits for more approvals.`
          : done.status === 'REJECTED'
            ? `Rejected; ${name} stays in ${done.from}.`
            : `${name}: ${done.from} → ${done.to}, ${done.status}.`;
      view.text(said);
    });
  },
});

async function transitionOf(platform: Platform, text: string): Promise<string> {
  if (!text.includes('@')) return text;
  const { registry } = platform;
  const { id, model, version } = await findVersion(platform, text);
  const waiting = (await registry.listTransitions(id)).find(({ status }) => status === 'PENDING');
  if (waiting !== undefined) return waiting.id;
  throw new KeelsonError(
    'NOT_FOUND',
    `Nothing of ${model}@${version} waits for approval; \`keelson models show ${model}@${version}\` shows its transitions.`,
  );
}
