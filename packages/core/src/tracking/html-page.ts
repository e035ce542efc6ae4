/** A titled part of a page; nothing where there is no content. */
export function section(title: string, content: string): string {
  return content === '' ? '' : `<section><h2>${title}</h2>${content}</section>`;
}

/** A table; nothing where there are no rows. Cells are escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<div class="scroll"><table>${cells('th', head)}${rows.map((row) => cells('td', row)).join('')}</table></div>`;
}

/** Text as HTML text or attribute value. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** A whole page: no script, nothing loaded from outside, light and dark. `body` is HTML. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title><style>
:root{color-scheme:light dark;--line:#8884;--ink:#1b6ca8;--good:#2a7d2a;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#63b0ea;--good:#7bc47b;--bad:#f2867e}}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1100px;padding:1rem}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.1rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
.status{font-size:.7rem;font-weight:600;letter-spacing:.03em;white-space:nowrap;padding:.15rem .5rem;border-radius:1rem;border:1px solid currentColor;vertical-align:middle}
.COMPLETED{color:var(--good)}.FAILED,.KILLED,.reason{color:var(--bad)}.RUNNING{color:var(--ink)}
dl{display:flex;flex-wrap:wrap;gap:.3rem 1.5rem;margin:0}dt{font-size:.75rem;opacity:.7}dd{margin:0;overflow-wrap:anywhere}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(280px,1fr));gap:1rem}
figure{margin:0;border:1px solid var(--line);border-radius:.4rem;padding:.6rem}figcaption{font-size:.85rem;overflow-wrap:anywhere}
img{max-width:100%;background:#fff}svg{width:100%;height:auto}polyline{fill:none;stroke:var(--ink);stroke-width:1.5}circle{fill:var(--ink)}
.chart polyline{stroke-width:1.5}.chart .axis{stroke:var(--line);stroke-width:1}.chart text{font-size:10px;fill:currentColor}.legend span{margin-right:1rem;white-space:nowrap}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}td,th{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--line)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}.empty{opacity:.7}
</style></head><body>
${body}
</body></html>
`;
}
