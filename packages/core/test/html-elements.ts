/** All that a browser would take for an element of a page; fails where a tag is none that pages write. */
export function htmlElements(
  page: string,
): { readonly name: string; readonly attributes: string[] }[] {
  return [...page.matchAll(/<(?!\/|!doctype html>)[^<]*/g)].map(([text]) => {
    const tag = /^<(\w+)((?:\s+[\w-]+="[^"<]*")*)\s*\/?>/.exec(text);
    if (tag === null) throw new Error(`No element of the page's own: ${text.slice(0, 80)}`);
    const attributes = [...(tag[2] ?? '').matchAll(/\s([\w-]+)="/g)].map(([, name]) => name ?? '');
    return { name: tag[1] ?? '', attributes };
  });
}
