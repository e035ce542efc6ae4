import type { StoredEvent } from '../../src/contracts/event.ts';
import type { MetadataStore } from '../../src/contracts/metadata-store.ts';
import { isKeelsonError } from '../../src/errors.ts';
import type { BrokenStore } from './broken-store.ts';

type Page = Awaited<ReturnType<MetadataStore['readEvents']>>;
type Request = Parameters<MetadataStore['readEvents']>[0];

/** Gives other pages of events than there are. */
const paging =
  (read: (page: Page, request: Request, all: number) => Page): NonNullable<BrokenStore['wrap']> =>
  (store, world) => ({
    readEvents: async (request) =>
      read(await store.readEvents(request), request, world.state.events.length),
  });

/** Gives other events than there are. */
const mapping = (read: (event: StoredEvent) => StoredEvent): NonNullable<BrokenStore['wrap']> =>
  paging((page) => ({ ...page, events: page.events.map(read) }));

export const brokenEvents: readonly BrokenStore[] = [
  {
    breaks: 'events: are read back as they were emitted',
    how: 'the cause is not kept',
    wrap: mapping(({ causationId: _cause, ...event }) => event),
  },
  {
    breaks: 'events: are read back as they were emitted',
    how: 'payloads are plain JSON',
    wrap: mapping((event) => ({ ...event, payload: JSON.parse(JSON.stringify(event.payload)) })),
  },
  {
    breaks: 'events: are written with their commit or not at all',
    how: 'events are written first',
    wrap: (store) => ({
      commit: async (commit) => {
        const [first, ...rest] = commit.changes;
        if (first?.op !== 'emit' || rest.length === 0) return await store.commit(commit);
        const { revisions } = await store.commit({ ...commit, changes: [first] });
        const result = await store.commit({ ...commit, changes: rest });
        return { ...result, revisions: [...revisions, ...result.revisions] };
      },
    }),
  },
  {
    breaks: 'events: of one subject are numbered 1, 2, 3',
    how: 'some subjects begin at 0',
    wrap: mapping((event) =>
      event.subject === 'item:c' ? { ...event, subjectSequence: event.subjectSequence - 1 } : event,
    ),
  },
  {
    breaks: 'events: an id that was emitted before is CONFLICT',
    how: 'an event may be emitted again',
    omits: ['event id'],
  },
  {
    breaks: 'events: come in an order in which those of a subject ascend',
    how: 'events are sorted by their time',
    wrap: paging((page, { limit }) =>
      limit < 1_000 ? page : { ...page, events: page.events.toSorted((a, b) => a.at - b.at) },
    ),
  },
  {
    breaks: 'events: pages follow one another by the cursor',
    how: 'the last event of a page comes again',
    wrap: paging((page, { limit }) =>
      limit === 4 ? { ...page, cursor: page.events.at(-2)?.cursor ?? page.cursor } : page,
    ),
  },
  {
    breaks: "events: reading goes on from an event's own cursor",
    how: 'an event has the cursor before it',
    wrap: mapping((event) => ({ ...event, cursor: String(Number(event.cursor) - 1) })),
  },
  {
    breaks: 'events: the cursor goes on also when the filter passed nothing',
    how: 'a reader who got nothing stays where it was',
    wrap: paging((page, { after = '0', filter }) =>
      page.events.length === 0 && filter !== undefined ? { ...page, cursor: after } : page,
    ),
  },
  {
    breaks: 'events: are filtered by id, type, subject, correlation and time',
    how: 'the time itself is left out',
    wrap: (store) => ({
      readEvents: (request) => {
        const { since } = request.filter ?? {};
        return since === undefined
          ? store.readEvents(request)
          : store.readEvents({ ...request, filter: { ...request.filter, since: since + 1 } });
      },
    }),
  },
  {
    breaks: 'events: are filtered by an end in time',
    how: 'the end itself passes',
    wrap: (store) => ({
      readEvents: (request) => {
        const { until } = request.filter ?? {};
        return until === undefined
          ? store.readEvents(request)
          : store.readEvents({ ...request, filter: { ...request.filter, until: until + 1 } });
      },
    }),
  },
  {
    breaks: 'events: each subject falls into one partition of those there are',
    how: 'events are shared out, whatever their subject',
    wrap: (store) => ({
      readEvents: async (request) => {
        const { partition, ...filter } = request.filter ?? {};
        const page = await store.readEvents({ ...request, filter });
        if (partition === undefined) return page;
        const { of, index } = partition;
        return { ...page, events: page.events.filter((_, n) => n % of === index) };
      },
    }),
  },
  {
    breaks: 'events: those that are removed are gone, and no others',
    how: 'ids are taken for those of any workspace',
    wrap: (store) => ({
      removeEvents: async (workspace, ids) => {
        await store.removeEvents(workspace, ids);
        await store.removeEvents('away', ids);
      },
    }),
  },
  {
    breaks: 'events: numbers and cursors go on behind those that are removed',
    how: 'the numbers of those that are removed are given again',
    wrap: (store, world) => ({
      readEvents: async (request) => {
        const page = await store.readEvents(request);
        return {
          ...page,
          events: page.events.map((event) => ({
            ...event,
            subjectSequence: event.subjectSequence - world.removed.size,
          })),
        };
      },
    }),
  },
  {
    breaks: 'events: a filter hides nothing that passes',
    how: 'a filtered page moves its reader to the end',
    wrap: paging((page, { filter }, all) =>
      filter !== undefined && page.events.length > 0 ? { ...page, cursor: String(all) } : page,
    ),
  },
  { breaks: 'events: a limit is 1 to 1,000', how: 'any limit is taken', omits: ['event limit'] },
  {
    breaks: 'events: what is no cursor is INVALID',
    how: 'nothing is behind what is no cursor',
    wrap: (store) => ({
      waitForEvents: async (...request) => {
        try {
          return await store.waitForEvents(...request);
        } catch (error) {
          if (isKeelsonError(error, 'INVALID')) return false;
          throw error;
        }
      },
    }),
  },
  {
    breaks: 'events: the latest cursor is behind everything there is',
    how: 'the latest cursor is before the last event',
    wrap: (store) => ({
      latestEventCursor: async () => {
        const latest = Number(await store.latestEventCursor());
        return String(latest > 1 ? latest - 1 : latest);
      },
    }),
  },
  {
    breaks: 'events: of all workspaces when none is named',
    how: 'without a workspace one is assumed',
    wrap: (store) => ({
      readEvents: (request) => store.readEvents({ workspace: 'home', ...request }),
    }),
  },
  {
    breaks: 'events: waiting ends when there is an event',
    how: 'what is there already is not seen',
    wrap: (store) => ({
      waitForEvents: async (after, options) =>
        options.timeoutMs > 0 && (await store.waitForEvents(after, options)),
    }),
  },
  {
    breaks: 'events: waiting ends when time runs out',
    how: 'the end of the time is taken for an event',
    wrap: (store) => ({
      waitForEvents: async (after, options) =>
        (await store.waitForEvents(after, options)) || options.timeoutMs > 0,
    }),
  },
  {
    breaks: 'events: waiting ends when it is aborted',
    how: 'an aborted signal ends the waiting without an error',
    wrap: (store) => ({
      waitForEvents: async (after, options) =>
        options.signal?.aborted === true ? false : await store.waitForEvents(after, options),
    }),
  },
  {
    breaks: 'events: no reader ever skips one, however many write',
    how: 'a full page moves its reader to the end',
    wrap: paging((page, { limit }, all) =>
      limit === 7 && page.events.length === 7 ? { ...page, cursor: String(all) } : page,
    ),
  },
];
