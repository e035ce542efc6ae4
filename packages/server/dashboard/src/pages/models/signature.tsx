import type { ModelVersion } from '@keelson/core';
import type { JSX } from 'preact';
import { Empty, Scroll, Section } from '../../parts/basics.tsx';

type Signature = NonNullable<ModelVersion['signature']>;
type Column = NonNullable<Signature['inputColumns']>[number];

/** What a version takes and gives. */
export function SignatureOf({ of }: { readonly of: Signature | undefined }): JSX.Element {
  if (of === undefined) {
    return (
      <Section title="Signature">
        <Empty
          title="No signature"
          code="await platform.registry.register({ …, signature: { inputs, outputs } });"
        >
          <p>
            What it takes and gives is not known, so nobody is told when callers would be refused.
          </p>
        </Empty>
      </Section>
    );
  }
  return (
    <Section title="Signature">
      <div class="sides">
        <Side title="Takes" tensors={of.inputs} columns={of.inputColumns} schema={of.inputSchema} />
        <Side
          title="Gives"
          tensors={of.outputs}
          columns={of.outputColumns}
          schema={of.outputSchema}
        />
      </div>
    </Section>
  );
}

function Side({
  title,
  tensors,
  columns = [],
  schema,
}: {
  readonly title: string;
  readonly tensors: Signature['inputs'];
  readonly columns: readonly Column[] | undefined;
  readonly schema: Signature['inputSchema'];
}): JSX.Element {
  return (
    <div>
      <h3>{title}</h3>
      <Scroll>
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th>Type</th>
              <th>Shape</th>
            </tr>
          </thead>
          <tbody>
            {tensors.map(({ name, datatype, shape, unranked, columns: names }) => (
              <tr key={name}>
                <td class="wrap">
                  {name}
                  {names !== undefined && <div class="faint">{names.join(', ')}</div>}
                </td>
                <td>{datatype}</td>
                <td>
                  <code>
                    {unranked === true
                      ? 'any'
                      : `[${shape.map((each) => (each === -1 ? '·' : each)).join(', ')}]`}
                  </code>
                </td>
              </tr>
            ))}
            {columns.map(({ name, type, required }, i) => (
              // Columns without a name are known by their place.
              <tr key={name ?? i}>
                <td>{name ?? `column ${i + 1}`}</td>
                <td>{type}</td>
                <td>{required ? 'needed' : 'may be left out'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {schema !== undefined && (
        <details>
          <summary>JSON Schema</summary>
          <pre>{JSON.stringify(schema, null, 2)}</pre>
        </details>
      )}
    </div>
  );
}
