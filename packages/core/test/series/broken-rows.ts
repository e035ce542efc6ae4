import type { RowBatch, StreamKey } from '../../src/contracts/series-store.ts';
import { alike } from '../../src/testing/assertions.ts';
import { anew, fault, type SeriesBreakage } from './fault.ts';

/** Adapters that break a promise about rows or rollups. */
export const brokenRows: readonly SeriesBreakage[] = [
  fault('rows: come back as they were', 'takes empty text for missing', () => (store) => ({
    async *rows(stream, range) {
      for await (const rows of store.rows(stream, range)) {
        const columns = Object.entries(rows.columns).map(([name, column]) =>
          column.type === 'text'
            ? [name, { ...column, values: column.values.map((text) => text || null) }]
            : [name, column],
        );
        yield { ...rows, columns: Object.fromEntries(columns) };
      }
    },
  })),
  fault('rows: come batch by batch in order of arrival', 'gives them by time', () => (store) => ({
    async *rows(stream, range) {
      const found = await Array.fromAsync(store.rows(stream, range));
      yield* found.toSorted((a, b) => (a.at[0] ?? 0) - (b.at[0] ?? 0));
    },
  })),
  fault(
    'rows: a range takes its beginning and leaves its end',
    'takes the end too',
    () => (store) => ({
      rows: (stream, range) => store.rows(stream, { ...range, to: range.to + 0.5 }),
    }),
  ),
  fault('rows: only the columns asked for', 'gives all columns', () => (store) => ({
    rows: (stream, { columns: _, ...range }) => store.rows(stream, range),
  })),
  fault(
    'rows: what was appended is there after everything was closed',
    'keeps rows in memory only',
    () => (store) => {
      const appended: StreamKey[] = [];
      return {
        async appendRows(batch) {
          await store.appendRows(batch);
          appended.push(batch.stream);
        },
        async close() {
          for (const stream of appended.splice(0)) await store.dropRows(stream, 1e15);
          await store.close();
        },
      };
    },
  ),
  fault('rows: a repeated batch is stored once', 'stores a batch as often as it comes', () => {
    const seen: RowBatch[] = [];
    return (store) => ({
      async appendRows(batch) {
        const repeated = seen.some((one) => alike(one, batch));
        seen.push(batch);
        await store.appendRows(repeated ? anew(batch) : batch);
      },
      async dropRows(stream, before) {
        seen.length = 0;
        return await store.dropRows(stream, before);
      },
      async eraseRows(...request) {
        seen.length = 0;
        return await store.eraseRows(...request);
      },
    });
  }),
  fault('rows: numbers count per writer and stream', 'counts per writer', () => {
    const streams = new Map<string, StreamKey>();
    return (store) => ({
      async appendRows(batch) {
        const number = `${batch.writer}/${batch.sequence}`;
        const before = streams.get(number);
        if (before !== undefined && !alike(before, batch.stream)) return;
        await store.appendRows(batch);
        streams.set(number, batch.stream);
      },
    });
  }),
  fault('rows: no read sees another workspace', 'looks a stream up by name and owner', () => {
    const known: StreamKey[] = [];
    return (store) => ({
      async appendRows(batch) {
        await store.appendRows(batch);
        known.push(batch.stream);
      },
      rows(stream, range) {
        const other = known.find(
          (one) => one.stream === stream.stream && one.owner === stream.owner,
        );
        return store.rows(other ?? stream, range);
      },
    });
  }),
  fault(
    'rows: whole batches are dropped, none in part',
    'drops a batch that is partly older',
    () => (store) => ({
      dropRows: (stream, before) => store.dropRows(stream, before + 5),
    }),
  ),
  fault(
    'rows: those of several streams are dropped at once',
    'drops of the first alone',
    () => (store) => ({
      dropRows: (stream, before) => store.dropRows([stream].flat().slice(0, 1), before),
    }),
  ),
  fault('streams: all that a workspace has, and no others', 'forgets those of rollups', () => {
    const ofRows: StreamKey[] = [];
    return (store) => ({
      async appendRows(batch) {
        await store.appendRows(batch);
        ofRows.push(batch.stream);
      },
      async streams(workspace) {
        const found = await store.streams(workspace);
        return found.filter((key) => ofRows.some((one) => alike(one, key)));
      },
    });
  }),
  fault(
    'rollups: those that are old are dropped, by the length of their windows',
    'drops what begins at the time too',
    () => (store) => ({
      dropRollups: (stream, windows) =>
        store.dropRollups(stream, { ...windows, before: windows.before + 1 }),
    }),
  ),
  fault(
    'rows: those that are erased are gone, and no others',
    'erases of the first value alone',
    () => (store) => ({
      eraseRows: (stream, column, values) => store.eraseRows(stream, column, values.slice(1)),
    }),
  ),
  fault('rows: repeated batches stay ignored when they were dropped', 'forgets numbers', () => {
    const seen = new Set<string>();
    let dropped = false;
    return (store) => ({
      async appendRows(batch) {
        const number = `${batch.writer}/${batch.sequence}`;
        await store.appendRows(dropped && seen.has(number) ? anew(batch) : batch);
        seen.add(number);
      },
      async dropRows(stream, before) {
        dropped = true;
        return await store.dropRows(stream, before);
      },
    });
  }),
  fault('rollups: the latest of an address is kept', 'keeps the first', () => {
    const seen = new Set<string>();
    return (store) => ({
      async putRollups(rollups) {
        const fresh = rollups.filter((rollup) => {
          const { data: _, ...address } = rollup;
          return !seen.has(JSON.stringify(address));
        });
        await store.putRollups(fresh);
        for (const { data: _, ...address } of fresh) seen.add(JSON.stringify(address));
      },
    });
  }),
  fault('rollups: come by time, then writer', 'gives equal times as they lie', () => (store) => ({
    async rollups(...question) {
      const found = await store.rollups(...question);
      return found.toReversed().toSorted((a, b) => a.at - b.at);
    },
  })),
  fault('rollups: data is kept exactly, up to 1 MB', 'cuts long data', () => (store) => ({
    async rollups(...question) {
      const found = await store.rollups(...question);
      return found.map((rollup) => ({ ...rollup, data: rollup.data.slice(0, 65_535) }));
    },
  })),
];
