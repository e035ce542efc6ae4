import { KeelsonError } from '../errors.ts';
import { assertText, encodeJson, isPlainObject } from '../json.ts';

/** A figure as bytes with their media type. */
export interface FigureContent {
  readonly bytes: Uint8Array;
  readonly mimeType: string;
}

const signatures: readonly (readonly [mimeType: string, bytes: readonly number[]])[] = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
];

/** SVG text, PNG or JPEG bytes, or a Vega-Lite specification, made storable; INVALID for anything else. */
export function figureContent(path: string, figure: string | Uint8Array | object): FigureContent {
  if (typeof figure === 'string') {
    if (!isSvg(figure)) throw noFigure(path, 'text, but no SVG');
    assertText(figure, `Figure ${path}`);
    return { bytes: Buffer.from(figure), mimeType: 'image/svg+xml' };
  }
  if (figure instanceof Uint8Array) {
    const known = signatures.find(([, start]) => start.every((byte, i) => figure[i] === byte));
    if (known === undefined) throw noFigure(path, 'bytes, but neither PNG nor JPEG');
    return { bytes: figure, mimeType: known[0] };
  }
  if (!isPlainObject(figure)) throw noFigure(path, 'no figure');
  const text = encodeJson(figure, `Figure ${path}`);
  return { bytes: Buffer.from(text), mimeType: 'application/vnd.vegalite.v6+json' };
}

const prologs = [
  ['<?', '?>'],
  ['<!--', '-->'],
  ['<!', '>'],
] as const;

/** Whether the text's first element is `svg`; declaration, comments and document type may come before. */
function isSvg(text: string): boolean {
  let rest = text.replace(/^\uFEFF/, '').trimStart();
  for (;;) {
    const prolog = prologs.find(([start]) => rest.startsWith(start));
    if (prolog === undefined) return /^<svg[\s/>]/.test(rest);
    const [start, end] = prolog;
    const at = rest.indexOf(end, start.length);
    if (at === -1) return false;
    rest = rest.slice(at + end.length).trimStart();
  }
}

function noFigure(path: string, what: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `Figure ${path} is ${what}; pass SVG text, PNG or JPEG bytes, or a Vega-Lite object.`,
  );
}
