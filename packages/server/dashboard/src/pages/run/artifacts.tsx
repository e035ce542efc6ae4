import type { Artifact } from '@keelson/core';
import type { JSX } from 'preact';
import { addressOf, api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Scroll, Section, Shown } from '../../parts/basics.tsx';
import { showBytes } from '../../parts/format.ts';
import { setView, view } from '../../routing/address.ts';

const previewBytes = 512 * 1024;

/** The files of a run, with a look into the chosen one. */
export function Artifacts({ runId }: { readonly runId: string }): JSX.Element {
  const artifacts = useResource(
    `artifacts ${runId}`,
    (signal) => api.artifacts.list({ runId }, { signal }),
    {
      on: ['artifact.', 'run.'],
      matters: ({ subject }) => subject.includes(runId),
    },
  );
  const path = view('file');
  return (
    <Shown of={artifacts}>
      {({ artifacts: all }) => {
        if (all.length === 0) {
          return (
            <Empty title="No files" code={`await run.logArtifact('model.onnx', './model.onnx');`}>
              <p>
                Files that a run has made: models, figures, reports. The same content is kept once.
              </p>
            </Empty>
          );
        }
        const chosen = all.find((each) => each.path === path);
        return (
          <div class="files">
            <Section title={`${all.length} files`}>
              <ul>
                {all.map((each) => (
                  <li key={each.id}>
                    <button
                      type="button"
                      class="plain"
                      aria-pressed={each.path === path}
                      onClick={() => setView({ file: each.path })}
                    >
                      {each.path}
                    </button>
                    <span class="faint">{showBytes(each.sizeBytes)}</span>
                  </li>
                ))}
              </ul>
            </Section>
            {chosen === undefined ? (
              <p class="faint">Choose a file to look into it.</p>
            ) : (
              <Preview artifact={chosen} />
            )}
          </div>
        );
      }}
    </Shown>
  );
}

function Preview({ artifact }: { readonly artifact: Artifact }): JSX.Element {
  const { runId, path, sizeBytes, mimeType, sha256, createdAt } = artifact;
  const href = addressOf('artifacts.download', { runId, path });
  return (
    <Section
      title={path}
      actions={
        <a href={href} download={path.split('/').at(-1)}>
          Download
        </a>
      }
    >
      <p class="faint">
        {mimeType} · {showBytes(sizeBytes)} · <Ago at={createdAt} /> ·{' '}
        <code title={sha256}>{sha256.slice(0, 12)}</code>
      </p>
      <Content artifact={artifact} href={href} />
    </Section>
  );
}

function Content({
  artifact,
  href,
}: {
  readonly artifact: Artifact;
  readonly href: string;
}): JSX.Element {
  const { path, mimeType } = artifact;
  if (/^image\/(png|jpeg|gif|webp|svg\+xml)/.test(mimeType))
    return <img class="preview" src={href} alt={path} />;
  if (mimeType.startsWith('text/html')) return <Page artifact={artifact} href={href} />;
  if (/^text\/|json|yaml|xml|csv/.test(mimeType)) return <Text artifact={artifact} href={href} />;
  return <p class="faint">Files of this kind are not shown; download it.</p>;
}

/** The beginning of a file: what is longer is downloaded. */
function useText(artifact: Artifact, href: string): ReturnType<typeof useResource<string>> {
  return useResource(`text ${artifact.sha256}`, async (signal) => {
    const response = await fetch(href, {
      signal,
      headers: { range: `bytes=0-${previewBytes - 1}` },
      credentials: 'same-origin',
    });
    return response.text();
  });
}

function Text({
  artifact,
  href,
}: {
  readonly artifact: Artifact;
  readonly href: string;
}): JSX.Element {
  const text = useText(artifact, href);
  return (
    <Shown of={text}>
      {(data) => (
        <>
          {/csv/.test(artifact.mimeType) ? (
            <Csv text={data} />
          ) : (
            <pre class="preview" tabIndex={0}>
              {pretty(data, artifact)}
            </pre>
          )}
          {artifact.sizeBytes > previewBytes && (
            <p class="faint">This is the beginning: {showBytes(previewBytes)}.</p>
          )}
        </>
      )}
    </Shown>
  );
}

/** A page of somebody else's: in a sandbox without an origin, where its scripts reach nothing of this site. */
function Page({
  artifact,
  href,
}: {
  readonly artifact: Artifact;
  readonly href: string;
}): JSX.Element {
  const text = useText(artifact, href);
  return (
    <Shown of={text}>
      {(data) => <iframe class="preview" title={artifact.path} sandbox="" srcdoc={data} />}
    </Shown>
  );
}

function pretty(text: string, { mimeType, sizeBytes }: Artifact): string {
  if (!mimeType.includes('json') || sizeBytes > previewBytes) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const csvRows = 200;

function Csv({ text }: { readonly text: string }): JSX.Element {
  const [head = [], ...rows] = parseCsv(text, csvRows + 1);
  return (
    <Scroll class="preview">
      <table>
        <thead>
          <tr>
            {head.map((each, i) => (
              <th key={i}>{each}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              {row.map((each, j) => (
                <td key={j}>{each}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The first rows of a CSV text (RFC 4180). */
function parseCsv(text: string, most: number): readonly (readonly string[])[] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let isQuoted = false;
  for (let i = 0; i < text.length && rows.length < most; i += 1) {
    const c = text[i] as string;
    if (isQuoted) {
      if (c !== '"') field += c;
      else if (text[i + 1] === '"') {
        field += c;
        i += 1;
      } else isQuoted = false;
    } else if (c === '"' && field === '') isQuoted = true;
    else if (c === ',') {
      row.push(field);
      field = '';
    } else if (c === '\n' || c === '\r') {
      if (c === '\r' && text[i + 1] === '\n') i += 1;
      rows.push([...row, field]);
      row = [];
      field = '';
    } else field += c;
  }
  if (rows.length < most && (field !== '' || row.length > 0)) rows.push([...row, field]);
  return rows;
}
