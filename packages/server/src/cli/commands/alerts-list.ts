import { type Command, defineCommand } from '../command.ts';
import { alertsOf } from '../looking/find-alert.ts';
import { shortId } from '../looking/find-by-id.ts';
import { limitOption } from '../looking/more.ts';

/** `keelson alerts list`. */
export const command: Command = defineCommand({
  positionals: { deployment: { summary: 'Only of this one', optional: true } },
  options: { limit: limitOption, all: { type: 'flag', summary: 'Also those that are over' } },
  examples: [
    ['keelson alerts list', 'What fires now'],
    ['keelson alerts list scoring --all', 'What has ever fired for scoring'],
  ],
  async run({ positionals: { deployment }, options: { limit, all }, out, platform }) {
    const found = await alertsOf(await platform(), deployment);
    const wanted = all ? found : found.filter(({ state }) => state !== 'RESOLVED');
    const alerts = wanted.slice(0, limit);
    out.show({ alerts, count: wanted.length }, (view) => {
      view.table(
        alerts,
        [
          { title: 'ALERT', value: ({ id }) => shortId(id), whole: true },
          { title: 'SEVERITY', value: ({ severity }) => severity },
          {
            title: 'STATE',
            value: ({ state, acknowledged }) => (acknowledged === undefined ? state : 'ACKED'),
          },
          { title: 'DEPLOYMENT', value: (each) => each.deployment },
          { title: 'SINCE', value: ({ firstAt }) => view.ago(firstAt), align: 'right' },
          { title: 'WHAT', value: ({ summary }) => summary },
        ],
        { empty: all ? 'Nothing has fired.' : 'Nothing fires; --all shows what is over.' },
      );
    });
    if (wanted.length > alerts.length) {
      out.note(`These are ${alerts.length} of ${wanted.length}: --limit shows more.`);
    }
  },
});
