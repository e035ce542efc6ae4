import { escapeHtml } from '../../tracking/html-page.ts';

const [width, height, base] = [320, 120, 96] as const;

/** What is drawn of a distribution. */
export interface DistributionFigure {
  readonly title: string;
  readonly caption: string;
  /** What each bar stands for. */
  readonly bins: readonly string[];
  /** The share of each bin. */
  readonly current: readonly number[];
  /** Drawn as a line of steps; none where it is empty. */
  readonly reference: readonly number[];
  /** Under the left and the right end. */
  readonly ends: readonly [string, string];
  readonly bad: boolean;
}

/** A distribution as bars, its reference as a line of steps; a figure with inline SVG, without script. */
export function distributionFigure(figure: DistributionFigure): string {
  const { title, bins, reference, current, ends } = figure;
  const top = Math.max(...reference, ...current, 1e-9);
  const step = width / bins.length;
  const tall = (share: number): number => (share / top) * (base - 8);
  const bars = current.map((share, i) => {
    const was = reference[i];
    const also = was === undefined ? '' : `, in the reference ${percentOf(was)}`;
    const said = `${bins[i] ?? ''}: ${percentOf(share)}${also}`;
    // A transparent bar of full height, so that the pointer finds small ones too.
    const place = `x="${n(i * step + 1)}" width="${n(Math.max(1, step - 2))}"`;
    return `<g><title>${escapeHtml(said)}</title><rect fill-opacity="0" ${place} y="0" height="${base}"/><rect${figure.bad ? ' class="bad"' : ''} ${place} y="${n(base - tall(share))}" height="${n(tall(share))}"/></g>`;
  });
  const points = reference.flatMap((share, i) => {
    const y = n(base - tall(share));
    return [`${n(i * step)},${y}`, `${n((i + 1) * step)},${y}`];
  });
  const line =
    points.length === 0
      ? ''
      : `<polyline points="${points.join(' ')}" style="stroke:currentColor"/>`;
  const text = `<text x="0" y="${base + 14}">${escapeHtml(ends[0])}</text><text x="${width}" y="${base + 14}" text-anchor="end">${escapeHtml(ends[1])}</text>`;
  const axis = `<line x1="0" x2="${width}" y1="${base}" y2="${base}"/>`;
  return `<figure class="bars"><figcaption><b>${escapeHtml(title)}</b> ${escapeHtml(figure.caption)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`The distribution of ${title}`)}">${bars.join('')}${line}${axis}${text}</svg></figure>`;
}

function percentOf(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function n(value: number): string {
  return value.toFixed(1);
}
