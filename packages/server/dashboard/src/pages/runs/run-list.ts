import type { Run } from '@keelson/core';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { api, type Refusal } from '../../api/client.ts';
import { onEvent } from '../../api/live.ts';

/** What runs are asked for. */
export interface RunQuestion {
  readonly experiment: readonly string[];
  readonly filter: string;
  readonly orderBy: readonly string[];
}

/** The runs read so far, in order, and how many there are. */
export interface RunList {
  readonly runs: readonly Run[];
  readonly total: { readonly count: number; readonly exact: boolean } | undefined;
  readonly error: Refusal | undefined;
  readonly isReading: boolean;
  readonly isStale: boolean;
  readonly isWhole: boolean;
  /** Reads the next page, if there is one and none is on its way. */
  more(): void;
}

const pageSize = 200;
const leastMs = 1_000;

/**
 * Runs page by page. When runs change, those that are shown are read again from the start, as far as they were read
 * (1,000 at most), so that a table that is scrolled does not jump.
 */
export function useRunList(question: RunQuestion): RunList {
  const key = JSON.stringify(question);
  const state = useSignal<{
    key: string;
    runs: readonly Run[];
    cursor?: string | undefined;
    total?: { count: number; exact: boolean };
    error?: Refusal;
    read: boolean;
  }>({ key, runs: [], read: false });
  const busy = useSignal(false);
  const next = useRef<() => void>(() => undefined);

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let readAt = 0;
    const body = {
      ...(question.experiment.length === 0 ? {} : { experiment: [...question.experiment] }),
      ...(question.filter === '' ? {} : { filter: question.filter }),
    };
    const read = async (want: number, cursor?: string): Promise<void> => {
      busy.value = true;
      readAt = Date.now();
      try {
        const orderBy = question.orderBy.length === 0 ? {} : { orderBy: [...question.orderBy] };
        const page = await api.runs.search(
          {
            body: { ...body, ...orderBy, limit: want, ...(cursor === undefined ? {} : { cursor }) },
          },
          { signal },
        );
        const runs = cursor === undefined ? page.runs : [...state.value.runs, ...page.runs];
        const total =
          state.value.key === key && state.value.total ? { total: state.value.total } : {};
        state.value = { key, runs, cursor: page.cursor, read: true, ...total };
        if (cursor === undefined) {
          const counted = await api.runs.count({ body }, { signal });
          state.value = { ...state.value, total: counted };
        }
      } catch (error) {
        if (signal.aborted) return;
        const kept = state.value.key === key ? state.value : { key, runs: [], read: true };
        state.value = { ...kept, error: error as Refusal };
      } finally {
        if (!signal.aborted) busy.value = false;
      }
    };
    void read(pageSize);
    next.current = () => {
      const { cursor, key: of } = state.value;
      if (!busy.value && cursor !== undefined && of === key) void read(pageSize, cursor);
    };
    const again = (): void => {
      timer ??= setTimeout(
        () => {
          timer = undefined;
          if (busy.value) again();
          else void read(Math.min(1_000, Math.max(pageSize, state.value.runs.length)));
        },
        Math.max(100, leastMs - (Date.now() - readAt)),
      );
    };
    const stop = onEvent(({ type }) => {
      if (type.startsWith('run.') || type.startsWith('experiment.')) again();
    });
    return () => {
      controller.abort();
      busy.value = false;
      stop();
      clearTimeout(timer);
    };
  }, [key]);

  const { runs, total, error, key: of, cursor, read } = state.value;
  return {
    ...{ runs, total, error },
    isReading: busy.value,
    isStale: of !== key,
    isWhole: read && cursor === undefined,
    more: () => next.current(),
  };
}
