import { startServer } from '../../start-server.ts';
import { type Command, defineCommand } from '../command.ts';
import { endLean } from '../lean-start.ts';

/** `keelson ui`. */
export const command: Command = defineCommand({
  description:
    'Shows what is in a platform in the browser of this machine: prints the address of the dashboard, and keeps it up until Ctrl-C. Nothing is done in the background: that is left to `keelson serve` and to the programs that use the platform, which may go on meanwhile.',
  endsInOrder: true,
  options: {
    port: {
      type: 'integer',
      short: 'p',
      min: 0,
      max: 65_535,
      default: 0,
      summary: 'Where; 0 takes a free one',
    },
  },
  examples: [
    ['keelson ui', 'The dashboard of .keelson/ here'],
    ['keelson ui --dir runs/.keelson --port 5000', 'Of another directory, at a place that stays'],
  ],
  async run({ options, out, signal, platform: open, logger }) {
    const platform = await open();
    await using server = await startServer(platform, { port: options.port, logger: logger() });
    endLean();
    const url = `${server.url}/ui/`;
    out.item({ event: 'listening', url, port: server.port }, `The dashboard is at ${url}`);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  },
});
