import { escapeHtml } from '../../tracking/html-page.ts';
import type { ColumnHistogram } from './column-figures.ts';

const [width, height, base] = [320, 120, 96] as const;

/** A column's distribution as bars, its reference as a stepped line; a figure with inline SVG. */
export function columnPlot(plot: {
  readonly title: string;
  readonly caption: string;
  readonly histogram: ColumnHistogram;
  readonly bad: boolean;
}): string {
  const { bins, reference, current } = plot.histogram;
  const top = Math.max(...reference, ...current, 1e-9);
  const step = width / bins.length;
  const tall = (share: number): number => (share / top) * (base - 8);
  const bars = current.map((share, i) => {
    const was = percentOf(reference[i] ?? 0);
    const title = `${bins[i] ?? ''}: ${percentOf(share)}, in the reference ${was}`;
    // A transparent bar of full height, so that the pointer finds small ones too.
    const place = `x="${n(i * step + 1)}" width="${n(Math.max(1, step - 2))}"`;
    return `<g><title>${escapeHtml(title)}</title><rect fill-opacity="0" ${place} y="0" height="${base}"/><rect${plot.bad ? ' class="bad"' : ''} ${place} y="${n(base - tall(share))}" height="${n(tall(share))}"/></g>`;
  });
  const line = reference
    .flatMap((share, i) => {
      const y = n(base - tall(share));
      return [`${n(i * step)},${y}`, `${n((i + 1) * step)},${y}`];
    })
    .join(' ');
  const ends = `<text x="0" y="${base + 14}">${escapeHtml(bins[0] ?? '')}</text>${
    bins.length > 1
      ? `<text x="${width}" y="${base + 14}" text-anchor="end">${escapeHtml(bins.at(-1) ?? '')}</text>`
      : ''
  }`;
  const title = `${plot.title}: the share of each value, now and in the reference`;
  return `<figure class="bars"><figcaption><b>${escapeHtml(plot.title)}</b> ${escapeHtml(plot.caption)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">${bars.join('')}<polyline points="${line}" style="stroke:currentColor"/><line x1="0" x2="${width}" y1="${base}" y2="${base}"/>${ends}</svg></figure>`;
}

function percentOf(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function n(value: number): string {
  return value.toFixed(1);
}
