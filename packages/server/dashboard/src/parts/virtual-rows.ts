import { useSignal } from '@preact/signals';
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  type VirtualItem,
  Virtualizer,
} from '@tanstack/virtual-core';
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

/** The rows of a long list that are in sight, and the height of all. */
export interface VirtualRows {
  readonly items: readonly VirtualItem[];
  readonly height: number;
  scrollTo(index: number): void;
}

/** Keeps only the rows in sight in the document, however many there are. */
export function useVirtualRows(
  scroller: RefObject<HTMLElement | null>,
  count: number,
  rowHeight: number,
): VirtualRows {
  const version = useSignal(0);
  const ref = useRef<Virtualizer<HTMLElement, Element> | undefined>(undefined);
  const options = {
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => {
      version.value += 1;
    },
  };
  ref.current ??= new Virtualizer<HTMLElement, Element>(options);
  ref.current.setOptions(options);
  useEffect(() => ref.current?._didMount(), []);
  useLayoutEffect(() => ref.current?._willUpdate());
  void version.value;
  return {
    items: ref.current.getVirtualItems(),
    height: ref.current.getTotalSize(),
    scrollTo: (index) => ref.current?.scrollToIndex(index),
  };
}
