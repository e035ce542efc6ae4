import type { VersionComparison } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Heading, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showBytes, showNumber, showShare, showValue } from '../../parts/format.ts';
import { setView, to, view, viewList } from '../../routing/address.ts';

/** Versions of a model beside each other. */
export function ComparePage({ name }: { readonly name: string }): JSX.Element {
  const of = viewList('of');
  const baseline = view('baseline', of[0]);
  const comparison = useResource(`compare ${name} ${of.join()} ${baseline}`, (signal) =>
    api.models.compare(
      {
        body: {
          versions: of.map((version) => `${name}@${version}`),
          baseline: `${name}@${baseline}`,
        },
      },
      { signal },
    ),
  );
  return (
    <>
      <Heading
        above={[
          ['Models', to('models')],
          [name, to('models', name)],
        ]}
        title={`Compare ${of.join(', ')}`}
      />
      {of.length < 2 ? (
        <Empty title="Choose two versions or more">
          <p>
            They are chosen on <a href={to('models', name)}>the page of the model</a>.
          </p>
        </Empty>
      ) : (
        <Shown of={comparison}>{(data) => <Beside of={data} />}</Shown>
      )}
    </>
  );
}

function Beside({ of }: { readonly of: VersionComparison }): JSX.Element {
  const { versions, baseline, metrics, files, signatures, same } = of;
  return (
    <>
      <Section title="Versions">
        <Table of={of} first="">
          <Row name="Stage">
            {versions.map(({ id, stage }) => (
              <td key={id}>
                <Status of={stage} />
              </td>
            ))}
          </Row>
          <Row name="Registered">
            {versions.map(({ id, createdAt }) => (
              <td key={id}>
                <Ago at={createdAt} />
              </td>
            ))}
          </Row>
          <Row name="Size">
            {versions.map(({ id, sizeBytes, sizeChangeBytes }) => (
              <td key={id}>
                {showBytes(sizeBytes)}
                {id !== baseline && sizeChangeBytes !== 0 && (
                  <span class="faint">
                    {' '}
                    {sizeChangeBytes > 0 ? '+' : '−'}
                    {showBytes(Math.abs(sizeChangeBytes))}
                  </span>
                )}
              </td>
            ))}
          </Row>
          <Row name="Signature">
            {versions.map(({ id }, i) => {
              const breaks = signatures.breaks[i];
              if (signatures.known[i] !== true) return <td key={id}>none</td>;
              if (breaks === undefined || breaks.length === 0)
                return <td key={id}>{signatures.same ? 'the same' : 'fits'}</td>;
              return (
                <td key={id} class="wrap">
                  <Status of="refuses callers" tone="bad" /> {breaks.join('; ')}
                </td>
              );
            })}
          </Row>
        </Table>
      </Section>
      <Section title="Metrics">
        {metrics.length === 0 ? (
          <p class="faint">None of them has metrics.</p>
        ) : (
          <Table of={of} first="Metric">
            {metrics.map(({ name, direction, values, best, fromBaseline }) => (
              <Row key={name} name={`${name}${mark(direction)}`}>
                {versions.map(({ id }, i) => (
                  <td key={id}>
                    {showNumber(values[i])}
                    {best.includes(id) && <span class="best"> best</span>}
                    {id !== baseline && <Change of={fromBaseline[i]} />}
                  </td>
                ))}
              </Row>
            ))}
          </Table>
        )}
      </Section>
      <Different title="Params of their runs" of={of} rows={of.params} same={same.params} />
      <Different title="Data" of={of} rows={of.datasets} same={same.datasets} />
      <Different title="Origin" of={of} rows={of.lineage} same={same.lineage} />
      <Different title="Environment" of={of} rows={of.environment} same={same.environment} />
      <Different title="Tags" of={of} rows={of.tags} same={same.tags} />
      <Section title="Files">
        <Table of={of} first="Path">
          {files
            .filter((file) => !file.same)
            .map(({ path, sizeBytes, change }) => (
              <Row key={path} name={path}>
                {versions.map(({ id }, i) => (
                  <td key={id}>
                    {sizeBytes[i] === undefined ? '–' : showBytes(sizeBytes[i])}{' '}
                    {id !== baseline && <span class="faint">{change[i]}</span>}
                  </td>
                ))}
              </Row>
            ))}
        </Table>
        <p class="faint">The same in all: {same.files}.</p>
      </Section>
    </>
  );
}

function mark(direction: string | undefined): string {
  if (direction === undefined) return '';
  return direction === 'lower' ? ' ↓' : ' ↑';
}

function Change({
  of,
}: {
  readonly of: VersionComparison['metrics'][number]['fromBaseline'][number] | undefined;
}): JSX.Element | null {
  if (of === undefined) return null;
  const { difference, share, verdict } = of;
  const tone = verdict === 'better' ? 'good' : verdict === 'worse' ? 'bad' : 'faint';
  const sign = difference > 0 ? '+' : '';
  return (
    <span class={`change ${tone}`}>
      {` ${sign}${showNumber(difference)}`}
      {share !== undefined && ` (${sign}${showShare(share)})`}
      {verdict !== undefined && verdict !== 'same' && ` ${verdict}`}
    </span>
  );
}

function Different({
  title,
  of,
  rows,
  same,
}: {
  readonly title: string;
  readonly of: VersionComparison;
  readonly rows: readonly { readonly key: string; readonly values: readonly unknown[] }[];
  readonly same: number;
}): JSX.Element | null {
  if (rows.length === 0 && same === 0) return null;
  return (
    <Section title={title}>
      {rows.length > 0 && (
        <Table of={of} first="">
          {rows.map(({ key, values }) => (
            <Row key={key} name={key}>
              {of.versions.map(({ id }, i) => (
                <td key={id} class="wrap">
                  {showValue(values[i])}
                </td>
              ))}
            </Row>
          ))}
        </Table>
      )}
      <p class="faint">The same in all: {same}.</p>
    </Section>
  );
}

function Table({
  of: { versions, baseline },
  first,
  children,
}: {
  readonly of: VersionComparison;
  readonly first: string;
  readonly children: JSX.Element | readonly JSX.Element[];
}): JSX.Element {
  return (
    <Scroll>
      <table class="beside">
        <thead>
          <tr>
            <th>{first === '' ? <span class="hidden">Of</span> : first}</th>
            {versions.map(({ id, model, version }) => (
              <th key={id}>
                <a href={to('models', model, version)}>{version}</a>{' '}
                {id === baseline ? (
                  'baseline'
                ) : (
                  <button
                    type="button"
                    class="plain"
                    onClick={() => setView({ baseline: version })}
                  >
                    as baseline
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scroll>
  );
}

function Row({
  name,
  children,
}: {
  readonly name: string;
  readonly children: JSX.Element | readonly JSX.Element[];
}): JSX.Element {
  return (
    <tr>
      <th scope="row">{name}</th>
      {children}
    </tr>
  );
}
