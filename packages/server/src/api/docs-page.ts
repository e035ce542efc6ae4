import { createHash } from 'node:crypto';
import { onePiece } from '../http/one-piece.ts';
import { shapeOf } from './read-input.ts';
import { type AnyRoute, apiBase, type Content, type NamedRoute, pathsOf, rowsOf } from './route.ts';

const style = `
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1b1f24;background:#fff}
h1,h2{line-height:1.2}h2{border-bottom:1px solid #ccd3da;padding-bottom:.25rem;margin-top:2.5rem}
details{border:1px solid #ccd3da;border-radius:6px;margin:.5rem 0;padding:.5rem .75rem}
summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f3f5f7;border-radius:6px;overflow:auto;padding:.75rem}
.method{display:inline-block;font-weight:700;min-width:4.5rem}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #e3e7eb;padding:.25rem .5rem;text-align:left;vertical-align:top}
@media (prefers-color-scheme:dark){body{background:#14181d;color:#e6e9ec}pre{background:#1e242b}h2,details,td,th{border-color:#39424c}a{color:#8ab4f8}}
`;
const styleDigest = createHash('sha256').update(style).digest('base64');

/** Allows the page its own style and nothing else. */
const docsPolicy = `default-src 'none'; style-src 'sha256-${styleDigest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

const pages = new WeakMap<object, Buffer>();

/** A page that lists all rows of a table: no script, nothing from elsewhere. */
export function docsPage(table: object): Content & { readonly policy: string } {
  let page = pages.get(table);
  if (page === undefined) {
    page = Buffer.from(render(table));
    pages.set(table, page);
  }
  const bytes = page;
  return {
    mediaType: 'text/html; charset=utf-8',
    policy: docsPolicy,
    open: async () => onePiece(bytes),
  };
}

function render(table: object): string {
  const rows = rowsOf(table);
  const resources = [...new Set(rows.map(({ resource }) => resource))];
  const sections = resources.map((resource) => {
    const own = rows.filter((row) => row.resource === resource);
    return `<section><h2 id="${resource}">${escaped(resource)}</h2>${own.map(operation).join('')}</section>`;
  });
  const links = resources.map((resource) => `<a href="#${resource}">${escaped(resource)}</a>`);
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Keelson control plane</title><style>${style}</style></head><body>
<h1>Keelson control plane</h1>
<p>The same as a document: <a href="openapi.json">OpenAPI 3.1</a>. Times are epoch milliseconds. Numbers that JSON has not are <code>{"$number":"NaN"}</code>. Errors are problems of RFC 9457 with a stable <code>code</code>.</p>
<nav>${links.join(' · ')}</nav>
<main>${sections.join('\n')}</main></body></html>`;
}

function operation({ row }: NamedRoute): string {
  const [, ...others] = pathsOf(row);
  const parts = [
    row.description === undefined ? '' : `<p>${escaped(row.description)}</p>`,
    row.permission === 'open'
      ? '<p>Open to everybody.</p>'
      : `<p>Needs <code>${escaped(row.permission)}</code>.</p>`,
    others.length === 0
      ? ''
      : `<p>Also at ${others.map((path) => `<code>${escaped(path)}</code>`).join(', ')}.</p>`,
    fieldsOf(row),
    `<pre>${escaped(curlOf(row))}</pre>`,
  ];
  return `<details><summary><span class="method">${row.method}</span><code>${escaped(apiBase + row.path)}</code> ${escaped(row.summary)}</summary>${parts.join('')}</details>`;
}

function fieldsOf(row: AnyRoute): string {
  const query = Object.entries((row.query ?? {}) as ReturnType<typeof shapeOf>);
  const schema = row.upload?.json ?? row.body;
  const body = schema === undefined ? [] : Object.entries(shapeOf(schema));
  const lines = [
    ...query.map((each) => ['query', ...each] as const),
    ...body.map((each) => ['body', ...each] as const),
  ];
  if (lines.length === 0) return '';
  const cells = lines.map(([place, name, of]) => {
    const need = of.safeParse(undefined).success ? '' : 'required';
    return `<tr><td>${place}</td><td><code>${escaped(name)}</code></td><td>${need}</td><td>${escaped(descriptionOf(of))}</td></tr>`;
  });
  return `<table><tr><th>in</th><th>field</th><th></th><th></th></tr>${cells.join('')}</table>`;
}

/** What a schema says of itself, or what it wraps says. */
function descriptionOf(schema: ReturnType<typeof shapeOf>[string]): string {
  const inner = 'unwrap' in schema ? (schema as { unwrap(): typeof schema }).unwrap() : undefined;
  return schema.description ?? inner?.description ?? '';
}

/** The example as a command. */
function curlOf(row: AnyRoute): string {
  const { body, ...rest } = row.example as Record<string, unknown>;
  const used = new Set<string>();
  const path = row.path.replace(/\{(\w+)\+?\}/g, (_, name: string) => {
    used.add(name);
    return encodeURIComponent(String(rest[name] ?? name)).replaceAll('%2F', '/');
  });
  const query = Object.entries(rest).filter(([name]) => !used.has(name));
  const search =
    query.length === 0
      ? ''
      : `?${new URLSearchParams(query.map(([name, of]): [string, string] => [name, String(of)]))}`;
  const lines = [
    `curl -X ${row.method} "$KEELSON_URL${apiBase}${path}${search}"`,
    ...(row.permission === 'open' ? [] : ['-H "Authorization: Bearer $KEELSON_TOKEN"']),
    ...(body === undefined
      ? []
      : ["-H 'Content-Type: application/json'", `-d '${JSON.stringify(body)}'`]),
    ...(row.upload !== undefined && body === undefined ? ['--data-binary @file'] : []),
  ];
  return lines.join(' \\\n  ');
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
