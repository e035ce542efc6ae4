import { type Command, defineCommand } from '../command.ts';
import { installedVersions } from '../installed-versions.ts';

/** `keelson version`. */
export const command: Command = defineCommand({
  examples: [['keelson version', 'What is installed here']],
  async run({ out, cwd }) {
    const packages = await installedVersions(cwd);
    const server = packages['@keelson/server'];
    const document = {
      version: server ?? '0.0.0',
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      packages,
    };
    out.show(document, (view) => {
      view.facts({
        keelson: document.version,
        node: document.node,
        platform: document.platform,
        ...packages,
      });
    });
  },
});
