import type { PipelineDefinition, StepExecution } from '@keelson/core';
import type { JSX } from 'preact';
import type { ExecutionWithSteps } from '../../api/answers.ts';
import { addressOf, api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Facts, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showBytes, showDuration, showExactly } from '../../parts/format.ts';
import { go, setView, to, view } from '../../routing/address.ts';
import { kindOf, type Source, sourcesOf } from './pipeline-graph.ts';
import { StepLog } from './step-log.tsx';

interface Props {
  readonly execution: ExecutionWithSteps;
  readonly definition: PipelineDefinition;
  readonly step: StepExecution | undefined;
}

const mostShown = 20_000;

/** What a step took, how it did, what it wrote and what it has put out. */
export function StepPanel({ execution, definition, step }: Props): JSX.Element | null {
  const defined = definition.steps.find(({ name }) => name === step?.step);
  if (step === undefined || defined === undefined) return null;
  const attempt = Number(view('attempt', String(step.attempt))) || 0;
  const item = view('item') === '' ? undefined : Number(view('item'));
  const one = { pipeline: execution.pipeline, executionId: execution.id, step: step.step };
  return (
    <Section
      id="step"
      title={
        <>
          Step {step.step}{' '}
          <Status of={step.tolerated === true ? `${step.status}, tolerated` : step.status} />
        </>
      }
      actions={<FromHere execution={execution} definition={definition} step={step} />}
    >
      {step.failure !== undefined && (
        <div class="problem">
          <p>
            <b>{step.failure.name}</b> ({step.failure.class}) {step.failure.message}
          </p>
          {step.failure.stack !== undefined && (
            <details>
              <summary>Where</summary>
              <pre class="json" tabIndex={0}>
                {step.failure.stack}
              </pre>
            </details>
          )}
        </div>
      )}
      {step.skipReason !== undefined && <p>Skipped: {step.skipReason}</p>}
      {step.waitsFor !== undefined && step.status === 'PENDING' && <p>Waits for {step.waitsFor}</p>}
      {step.progress !== undefined && (
        <p>
          <progress value={step.progress.share} max={1} aria-label="How far it has come" />{' '}
          {Math.round(step.progress.share * 100)} % {step.progress.message}
        </p>
      )}
      <StepFacts step={step} defined={defined} />
      {hasEnded(step) && <Cache one={one} item={item} />}
      {step.items !== undefined && <Items one={one} item={item} />}
      <div class="grid sides">
        <div>
          <h3>Takes</h3>
          <Inputs defined={defined} />
        </div>
        <div>
          <h3>Puts out</h3>
          <Outputs one={one} step={step} />
        </div>
      </div>
      <header class="row">
        <h3>Log{item === undefined ? '' : ` of item ${item}`}</h3>
        {step.attempt > 1 && item === undefined && (
          <label>
            Attempt{' '}
            <select
              value={String(attempt)}
              onChange={({ currentTarget }) => setView({ attempt: currentTarget.value })}
            >
              {Array.from({ length: step.attempt }, (_, i) => (
                <option key={i} value={String(i + 1)}>
                  {i + 1}
                </option>
              ))}
            </select>
          </label>
        )}
      </header>
      {step.attempt === 0 && step.items === undefined ? (
        <p class="faint">It has not begun.</p>
      ) : (
        <StepLog {...one} attempt={item === undefined ? attempt : 0} item={item} />
      )}
    </Section>
  );
}

function StepFacts({
  step,
  defined,
}: {
  readonly step: StepExecution;
  readonly defined: PipelineDefinition['steps'][number];
}): JSX.Element {
  const { startedAt, endedAt, allocated = {}, usage } = step;
  return (
    <Facts
      of={[
        ['Runs', kindOf(defined)],
        ['Attempts', `${step.attempt}${step.losses > 0 ? `, ${step.losses} lost` : ''}`],
        startedAt !== undefined && ['Began', showExactly(startedAt)],
        startedAt !== undefined &&
          endedAt !== undefined && ['Took', showDuration(endedAt - startedAt)],
        defined.when !== undefined && ['When', <code key="when">{defined.when}</code>],
        defined.retry.limit > 0 && [
          'Retries',
          `${defined.retry.limit}, after ${showDuration(defined.retry.delayMs)}`,
        ],
        step.stoppedEarly !== undefined && ['Ended early', step.stoppedEarly],
        step.iteration !== undefined && ['Iteration', String(step.iteration)],
        step.executor !== undefined && ['On', [step.executor, step.node].filter(Boolean).join(' ')],
        step.exitCode !== undefined && ['Exit code', String(step.exitCode)],
        Object.keys(allocated).length > 0 && ['Reserved', JSON.stringify(allocated)],
        usage !== undefined && ['Used', JSON.stringify(usage)],
        step.owner !== undefined && ['Process', processOf(step.owner)],
      ]}
    />
  );
}

function processOf(owner: Readonly<Record<string, unknown>>): string {
  return [owner['host'], owner['pid']].filter((each) => each !== undefined).join(' ');
}

function Inputs({
  defined,
}: {
  readonly defined: PipelineDefinition['steps'][number];
}): JSX.Element {
  const { forEach } = defined;
  const inputs: (readonly [string, { readonly from: Source; readonly type?: string }])[] = [
    ...Object.entries(defined.inputs),
    ...(forEach === undefined ? [] : [[`each ${forEach.as}`, { from: forEach.items }] as const]),
  ];
  if (inputs.length === 0) return <p class="faint">Nothing.</p>;
  return (
    <ul class="ports">
      {inputs.map(([name, { from, type }]) => (
        <li key={name}>
          <b>{name}</b> {type !== undefined && <span class="faint">({type})</span>} from{' '}
          {sourcesOf(from).map(({ step, text }) =>
            step === undefined ? (
              <code key={text}>{text} </code>
            ) : (
              <button
                key={text}
                type="button"
                class="plain"
                onClick={() => setView({ step, attempt: undefined, item: undefined })}
              >
                {text}
              </button>
            ),
          )}
        </li>
      ))}
    </ul>
  );
}

interface OneStep {
  readonly pipeline: string;
  readonly executionId: string;
  readonly step: string;
}

function Outputs({
  one,
  step,
}: {
  readonly one: OneStep;
  readonly step: StepExecution;
}): JSX.Element {
  return (
    <>
      {step.artifacts.length > 0 && (
        <ul class="ports">
          {step.artifacts.map(({ name, sizeBytes, mimeType, sha256 }) => (
            <li key={name}>
              <a href={addressOf('executions.artifact', { ...one, name })} title={sha256} download>
                {name}
              </a>{' '}
              <span class="faint">
                {showBytes(sizeBytes)}, {mimeType}
              </span>
            </li>
          ))}
        </ul>
      )}
      {step.status === 'COMPLETED' ? (
        <Value one={one} />
      ) : (
        step.artifacts.length === 0 && <p class="faint">Nothing yet.</p>
      )}
    </>
  );
}

function Value({ one }: { readonly one: OneStep }): JSX.Element {
  const output = useResource(`output ${one.executionId} ${one.step}`, (signal) =>
    api.executions.output(one, { signal }),
  );
  return (
    <Shown of={output}>
      {({ value }) => {
        if (value === undefined || value === null) return <p class="faint">No value.</p>;
        const text = JSON.stringify(value, undefined, 2);
        return (
          <>
            <pre class="json" tabIndex={0}>
              {text.slice(0, mostShown)}
            </pre>
            {text.length > mostShown && (
              <p class="faint">The first {showBytes(mostShown)} are shown.</p>
            )}
          </>
        );
      }}
    </Shown>
  );
}

/** Whether the result was taken from an earlier one, and why. */
function Cache({
  one,
  item,
}: {
  readonly one: OneStep;
  readonly item: number | undefined;
}): JSX.Element {
  const cache = useResource(`cache ${one.executionId} ${one.step} ${item ?? ''}`, (signal) =>
    api.executions.cache({ ...one, ...(item === undefined ? {} : { item }) }, { signal }),
  );
  return (
    <Shown of={cache}>
      {({ outcome, explanation, cachedFrom, key, parts }) => (
        <div class="cache">
          <h3>Cache</h3>
          <p>
            <Status of={outcome} tone={outcome === 'hit' ? 'good' : 'quiet'} /> {explanation}{' '}
            {cachedFrom !== undefined && (
              <a href={to('pipelines', one.pipeline, cachedFrom.executionId, { step: one.step })}>
                the execution that computed it
              </a>
            )}
          </p>
          {key !== undefined && (
            <details>
              <summary>The key, and what it is made of</summary>
              <pre class="json" tabIndex={0}>
                {JSON.stringify({ key, ...parts }, undefined, 2)}
              </pre>
            </details>
          )}
        </div>
      )}
    </Shown>
  );
}

function hasEnded({ status }: StepExecution): boolean {
  return status === 'COMPLETED' || status === 'FAILED';
}

function Items({
  one,
  item,
}: {
  readonly one: OneStep;
  readonly item: number | undefined;
}): JSX.Element {
  const items = useResource(
    `items ${one.executionId} ${one.step}`,
    (signal) => api.executions.items(one, { signal }),
    { on: ['step.'], matters: ({ payload }) => payload['executionId'] === one.executionId },
  );
  return (
    <Shown of={items}>
      {({ items: all }) => (
        <Scroll class="items">
          <table>
            <thead>
              <tr>
                <th>Item</th>
                <th>Status</th>
                <th class="number">Attempt</th>
                <th class="number">Took</th>
                <th>Why</th>
              </tr>
            </thead>
            <tbody>
              {all.map((each) => {
                const number = Number(each.mapKey);
                const { startedAt, endedAt } = each;
                return (
                  <tr key={each.id}>
                    <td>
                      <button
                        type="button"
                        class="plain"
                        aria-pressed={item === number}
                        onClick={() => setView({ item: String(number) })}
                      >
                        {one.step}[{number}]
                      </button>
                    </td>
                    <td>
                      <Status of={each.status} />
                    </td>
                    <td class="number">{each.attempt}</td>
                    <td class="number">
                      {startedAt !== undefined && endedAt !== undefined
                        ? showDuration(endedAt - startedAt)
                        : '–'}
                    </td>
                    <td class="wrap">
                      {each.failure?.message ?? each.skipReason ?? each.cacheNote ?? ''}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Scroll>
      )}
    </Shown>
  );
}

/** A new execution of this step and those after it, which takes the rest from here. */
function FromHere({ execution, definition, step }: Required<Props>): JSX.Element | null {
  if (step === undefined) return null;
  const { id, pipeline, version, parameters, endedAt } = execution;
  const defined = definition.steps.find(({ name }) => name === step.step);
  const isFirst = (defined?.dependsOn.length ?? 0) === 0;
  return (
    <Act
      name="Run from here"
      does={['pipelines.start', `pipeline:${pipeline}`]}
      title={`Run ${step.step} and what depends on it?`}
      consequence={`A new execution of ${pipeline}@${version} with the same parameters begins; ${isFirst ? '' : 'what the steps before have put out is taken from this one. '}This execution stays as it is.`}
      refused={
        endedAt === undefined
          ? 'This execution has not ended: it can be cancelled first.'
          : undefined
      }
      run={async () => {
        const begun = await api.pipelines.start({
          pipeline,
          body: { version, parameters, from: step.step, reuse: id },
        });
        go(to('pipelines', pipeline, begun.id));
      }}
    />
  );
}
