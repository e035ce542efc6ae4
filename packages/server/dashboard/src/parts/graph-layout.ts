/** One thing of a graph. */
export interface GraphNode {
  readonly id: string;
  readonly title: string;
  /** What it is, such as `run`, or whatever else stands below the title. */
  readonly about?: string;
  /** A state, such as RUNNING, shown by mark and word. */
  readonly status?: string;
  /** Where it leads to. */
  readonly href?: string;
  /** The one that is looked at. */
  readonly current?: boolean;
}

/** That one thing leads to another. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly label?: string;
}

/** Where a node lies, in pixels. */
export interface Placed {
  readonly node: GraphNode;
  readonly x: number;
  readonly y: number;
}

/** The points that an edge runs through. */
export interface Routed {
  readonly edge: GraphEdge;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A graph with places. */
export interface Layout {
  readonly nodes: readonly Placed[];
  readonly edges: readonly Routed[];
  readonly width: number;
  readonly height: number;
}

export const nodeWidth = 190;
export const nodeHeight = 46;
const gapX = 64;
const gapY = 18;
const margin = 8;

/** What stands in a layer: a node, or the place where a longer edge passes. */
interface Slot {
  readonly key: string;
  readonly node?: GraphNode;
  readonly before: Slot[];
  readonly after: Slot[];
  y: number;
}

/**
 * Lays a graph out in layers from left to right (Sugiyama): each node right of all that lead to it, edges that pass a
 * layer in a place of their own, the order within layers by the mean of the neighbours. Edges that close a circle are
 * drawn and count for no layer. The same graph has the same layout.
 */
export function layOut(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): Layout {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const real = edges.filter(({ from, to }) => known.has(from) && known.has(to) && from !== to);
  const layerOf = layersOf(nodes, real);
  const slots = new Map<string, Slot>(
    nodes.map((node) => [node.id, { key: node.id, node, before: [], after: [], y: 0 }]),
  );
  const layers: Slot[][] = [];
  const put = (slot: Slot, layer: number): void => {
    layers[layer] ??= [];
    layers[layer].push(slot);
  };
  for (const { id } of nodes) put(slots.get(id) as Slot, layerOf.get(id) ?? 0);
  const passing = real.map((edge, i) => {
    const [from, to] = [layerOf.get(edge.from) ?? 0, layerOf.get(edge.to) ?? 0];
    const chain = [slots.get(edge.from) as Slot];
    for (let layer = from + 1; layer < to; layer += 1) {
      const slot: Slot = { key: `${i}:${layer}`, before: [], after: [], y: 0 };
      put(slot, layer);
      chain.push(slot);
    }
    chain.push(slots.get(edge.to) as Slot);
    chain.slice(1).forEach((slot, at) => {
      const former = chain[at] as Slot;
      slot.before.push(former);
      former.after.push(slot);
    });
    return { edge, chain, layer: from };
  });
  order(layers);
  const height = placeRows(layers);
  const xOf = (layer: number): number => margin + layer * (nodeWidth + gapX);
  return {
    nodes: nodes.map((node) => ({
      ...{ node, x: xOf(layerOf.get(node.id) ?? 0), y: slots.get(node.id)?.y ?? 0 },
    })),
    edges: passing.map(({ edge, chain, layer }) => ({
      edge,
      points: chain.flatMap((slot, i): (readonly [number, number])[] => {
        const [x, y] = [xOf(layer + i), slot.y + nodeHeight / 2];
        if (i === 0) return [[x + nodeWidth, y]];
        if (i === chain.length - 1) return [[xOf(layerOf.get(edge.to) ?? 0), y]];
        return [
          [x, y],
          [x + nodeWidth, y],
        ];
      }),
    })),
    width: xOf(layers.length) - gapX + margin,
    height,
  };
}

/** The layer of each node: one further than the furthest that leads to it. */
function layersOf(
  nodes: readonly GraphNode[],
  edges: readonly GraphEdge[],
): ReadonlyMap<string, number> {
  const into = Map.groupBy(edges, ({ to }) => to);
  const layers = new Map<string, number>();
  const onWay = new Set<string>();
  const layerOf = (id: string): number => {
    const known = layers.get(id);
    if (known !== undefined) return known;
    onWay.add(id);
    const before = (into.get(id) ?? [])
      .filter(({ from }) => !onWay.has(from))
      .map(({ from }) => layerOf(from) + 1);
    onWay.delete(id);
    const layer = Math.max(0, ...before);
    layers.set(id, layer);
    return layer;
  };
  for (const { id } of nodes) layerOf(id);
  // What nothing leads to stands right before what it leads to.
  const out = Map.groupBy(edges, ({ from }) => from);
  for (const { id } of nodes) {
    const next = (out.get(id) ?? []).map(({ to }) => layers.get(to) ?? 0);
    if (!into.has(id) && next.length > 0) layers.set(id, Math.max(0, Math.min(...next) - 1));
  }
  return layers;
}

const sweeps = 8;

/** Orders each layer by the mean place of its neighbours, to and fro. */
function order(layers: readonly Slot[][]): void {
  for (let sweep = 0; sweep < sweeps; sweep += 1) {
    const isForward = sweep % 2 === 0;
    const passed = isForward ? layers : layers.toReversed();
    for (const layer of passed) {
      const places = new Map<Slot, number>();
      for (const other of layers) for (const [i, slot] of other.entries()) places.set(slot, i);
      const meanOf = (slot: Slot): number => {
        const near = isForward ? slot.before : slot.after;
        if (near.length === 0) return places.get(slot) ?? 0;
        return near.reduce((sum, each) => sum + (places.get(each) ?? 0), 0) / near.length;
      };
      const means = new Map(layer.map((slot) => [slot, meanOf(slot)]));
      layer.sort((a, b) => (means.get(a) ?? 0) - (means.get(b) ?? 0));
    }
  }
}

/** Gives each slot its y, near the mean of those before it; answers the height of all. */
function placeRows(layers: readonly Slot[][]): number {
  const heightOf = (slot: Slot): number => (slot.node === undefined ? gapY / 2 : nodeHeight);
  const total = (layer: readonly Slot[]): number =>
    layer.reduce((sum, slot) => sum + heightOf(slot) + gapY, -gapY);
  const height = Math.max(nodeHeight, ...layers.map(total));
  for (const layer of layers) {
    let y = margin + (height - total(layer)) / 2;
    for (const slot of layer) {
      slot.y = y - (slot.node === undefined ? nodeHeight / 2 - gapY / 4 : 0);
      y += heightOf(slot) + gapY;
    }
  }
  return height + 2 * margin;
}
