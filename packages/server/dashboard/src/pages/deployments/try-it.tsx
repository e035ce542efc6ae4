import type { Json, ModelVersion, TensorSpec } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useAction, useResource } from '../../api/resource.ts';
import { Code, Problem, Section, Shown } from '../../parts/basics.tsx';
import { liveOf } from './deployment-state.ts';
import { shortName } from './weights.tsx';

/** One thing to fill in. */
interface Field {
  readonly name: string;
  readonly kind: 'number' | 'text' | 'yes';
  /** The tensor that it is an element of, where that has no names for them. */
  readonly within?: string;
}

/** Asks the deployment for one prediction, by a form that is made from its signature. */
export function TryIt({
  name,
  model,
}: {
  readonly name: string;
  readonly model: string;
}): JSX.Element {
  const version = useResource(
    `answering ${name}`,
    async (signal) => {
      const { route } = await api.rollouts.route({ deployment: name }, { signal });
      const main = route.targets.toSorted((a, b) => b.weightPercent - a.weightPercent)[0];
      const number = shortName(main?.key ?? 'latest');
      return api.versions.get({ name: model, version: number }, { signal });
    },
    liveOf(name, ['traffic.']),
  );
  return <Shown of={version}>{(data) => <Form name={name} version={data} />}</Shown>;
}

function Form({
  name,
  version,
}: {
  readonly name: string;
  readonly version: ModelVersion;
}): JSX.Element {
  const fields = fieldsOf(version.signature);
  const values = useSignal<Readonly<Record<string, string>>>({});
  const raw = useSignal('{}');
  const answer = useSignal<string | undefined>(undefined);
  const { busy, error, run } = useAction();
  const submit = (event: Event): void => {
    event.preventDefault();
    answer.value = undefined;
    void run(async () => {
      const input =
        fields === undefined ? (JSON.parse(raw.value) as Json) : rowOf(fields, values.value);
      const began = performance.now();
      const said = await api.deployments.predict({ body: { name, input } });
      const took = Math.round(performance.now() - began);
      const by = said.version === undefined ? '' : ` by ${said.version}`;
      answer.value = `${JSON.stringify(said.predictions[0], null, 2)}\n\nanswered${by} in ${took} ms, with the way there and back`;
    });
  };
  return (
    <Section title="Try it">
      <p class="faint">
        A real request: it is counted and logged like others. The form is made from the signature of{' '}
        {version.model} {version.version}.
      </p>
      <form class="try" onSubmit={submit}>
        {fields === undefined ? (
          <label class="raw">
            One row, as JSON
            <textarea
              rows={6}
              value={raw.value}
              onInput={({ currentTarget }) => {
                raw.value = currentTarget.value;
              }}
            />
          </label>
        ) : (
          fields.map(({ name: field, kind, within }) => (
            <label key={`${within} ${field}`}>
              {field} {within !== undefined && <span class="faint">{within}</span>}
              <input
                type="text"
                inputMode={kind === 'number' ? 'decimal' : 'text'}
                {...(kind === 'number' ? { pattern: numberPattern, title: 'A number' } : {})}
                required
                value={values.value[field] ?? ''}
                onInput={({ currentTarget }) => {
                  values.value = { ...values.value, [field]: currentTarget.value };
                }}
              />
            </label>
          ))
        )}
        <button type="submit" class="main" disabled={busy.value}>
          {busy.value ? 'Asking …' : 'Predict'}
        </button>
      </form>
      {error.value !== undefined && <Problem error={error.value} />}
      <div role="status">{answer.value !== undefined && <Code text={answer.value} />}</div>
    </Section>
  );
}

const numberPattern = '[\\-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][\\-+]?[0-9]+)?';
const mostFields = 60;

/** The fields of a form; undefined where the signature describes none that a form could have. */
function fieldsOf(signature: ModelVersion['signature']): readonly Field[] | undefined {
  if (signature === undefined) return undefined;
  const { inputs, inputColumns } = signature;
  const columns =
    inputColumns?.every(({ name }) => name !== undefined) === true ? inputColumns : [];
  const found =
    inputs.length > 0
      ? inputs.flatMap(ofTensor)
      : columns.map(
          ({ name = '', type }): Field => ({
            name,
            kind:
              type === 'number' || type === 'integer'
                ? 'number'
                : type === 'boolean'
                  ? 'yes'
                  : 'text',
          }),
        );
  const isWhole = found.length > 0 && found.length <= mostFields && !found.includes(noField);
  return isWhole ? (found as readonly Field[]) : undefined;
}

const noField = undefined;

function ofTensor({ name, datatype, shape, columns }: TensorSpec): readonly (Field | undefined)[] {
  const kind = datatype === 'BYTES' ? 'text' : datatype === 'BOOL' ? 'yes' : 'number';
  if (shape.length === 1) return [{ name, kind }];
  const width = shape[1] ?? -1;
  if (shape.length !== 2 || width < 1) return [noField];
  if (columns !== undefined) return columns.map((each) => ({ name: each, kind }));
  return Array.from({ length: width }, (_, i) => ({ name: `${name}[${i}]`, kind, within: name }));
}

/** The row that the fields make: an object by column, or by tensor. */
function rowOf(fields: readonly Field[], values: Readonly<Record<string, string>>): Json {
  const row: Record<string, Json> = {};
  for (const { name, kind, within } of fields) {
    const text = values[name] ?? '';
    const value =
      kind === 'number' ? Number(text) : kind === 'yes' ? /^(true|yes|1)$/i.test(text) : text;
    if (within === undefined) row[name] = value;
    else row[within] = [...((row[within] ?? []) as readonly Json[]), value];
  }
  return row;
}
