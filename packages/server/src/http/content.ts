import { headerOf, type RequestHeaders } from './exchange.ts';

/** A media type as a header has it; bytes of no known kind for what is none. */
export function contentTypeOf(mediaType: string): string {
  const isType = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/.test(mediaType);
  return isType ? mediaType : 'application/octet-stream';
}

/** What has browsers keep a file under its name, not show it. */
export function disposition(fileName: string): string {
  const plain = fileName.replace(/[^\x20-\x7e]|["\\]/g, '_');
  return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(fileName)}`;
}

/** Whether a list of validators names this one, by weak comparison. */
export function names(list: string | undefined, etag: string): boolean {
  if (list === undefined) return false;
  const bare = (tag: string): string => tag.trim().replace(/^W\//, '');
  return list.trim() === '*' || list.split(',').some((each) => bare(each) === bare(etag));
}

/** The one range of bytes that is asked for, its end left out; undefined for all of it, `outside` for one that is not there. */
export function rangeOf(
  headers: RequestHeaders,
  sizeBytes: number,
  etag: string | undefined,
): { readonly start: number; readonly end: number } | 'outside' | undefined {
  const condition = headerOf(headers, 'if-range');
  if (condition !== undefined && condition !== etag) return undefined;
  const [, first, last] =
    /^bytes=(\d*)-(\d*)$/.exec(headerOf(headers, 'range')?.trim() ?? '') ?? [];
  // Several ranges, and what is no range, may be answered with all of it (RFC 9110, 14.2).
  if (first === undefined || last === undefined || `${first}${last}` === '') return undefined;
  const start = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  return start >= sizeBytes || end <= start ? 'outside' : { start, end };
}
