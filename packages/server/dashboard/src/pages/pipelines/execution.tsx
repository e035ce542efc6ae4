import type { PipelineDefinition, StepExecution } from '@keelson/core';
import type { JSX } from 'preact';
import type { ExecutionWithSteps } from '../../api/answers.ts';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Facts, Heading, Id, Section, Shown, Status } from '../../parts/basics.tsx';
import { showDuration } from '../../parts/format.ts';
import { Graph } from '../../parts/graph.tsx';
import { setView, to, view } from '../../routing/address.ts';
import { attemptsOf, readStepEvents } from './attempts.ts';
import { Progress, tookOf } from './execution-table.tsx';
import { Gantt, useNow } from './gantt.tsx';
import { graphOf } from './pipeline-graph.ts';
import { StepPanel } from './step-panel.tsx';

interface OneExecution {
  readonly pipeline: string;
  readonly executionId: string;
}

interface Whole {
  readonly execution: ExecutionWithSteps;
  readonly steps: readonly StepExecution[];
  readonly definition: PipelineDefinition;
}

/** One execution: its graph as it stands, when what ran, and what its steps took, wrote and put out. */
export function ExecutionPage({ pipeline, executionId }: OneExecution): JSX.Element {
  const whole = useResource<Whole>(
    `execution ${executionId}`,
    async (signal) => {
      const execution = await api.executions.get(
        { pipeline, executionId, includeSteps: true },
        { signal },
      );
      const { version } = execution;
      const definition = await api.pipelines.get({ pipeline, version }, { signal });
      return { execution, steps: execution.steps ?? [], definition };
    },
    {
      on: ['pipeline.', 'step.'],
      matters: ({ payload }) => payload['executionId'] === executionId,
    },
  );
  return (
    <div class="pipelines">
      <Shown of={whole}>{(data) => <Execution {...data} reload={whole.reload} />}</Shown>
    </div>
  );
}

function Execution({
  execution,
  steps,
  definition,
  reload,
}: Whole & { readonly reload: () => void }): JSX.Element {
  const { id, pipeline, status, endedAt } = execution;
  const now = useNow(endedAt === undefined && execution.startedAt !== undefined);
  const chosen = chosenOf(steps);
  const choose = (step: string): void => setView({ step, attempt: undefined, item: undefined });
  return (
    <>
      <Heading
        above={[
          ['Pipelines', to('pipelines')],
          [pipeline, to('pipelines', pipeline)],
        ]}
        title={
          <>
            {pipeline} <code>…{id.slice(-8)}</code>
          </>
        }
        beside={
          <>
            <Status of={status} />
            {execution.paused && endedAt === undefined && <Status of="PAUSED" />}
          </>
        }
        actions={<Actions execution={execution} steps={steps} done={reload} />}
      />
      {execution.failure !== undefined && (
        <div class="problem" role="alert">
          <p>
            <b>{execution.failure.step ?? 'Its time was up'}</b> failed ({execution.failure.class}):{' '}
            {execution.failure.message}
          </p>
        </div>
      )}
      <Section title="About">
        <Facts
          of={[
            ['Id', <Id key="id" of={id} />],
            ['Version', execution.version],
            ['Steps', <Progress key="steps" of={execution} />],
            ['Queued', <Ago key="at" at={execution.queuedAt} />],
            ['Took', tookOf(execution, now)],
            ['Started by', `${execution.trigger.toLowerCase()}, ${execution.triggeredBy}`],
            execution.round > 1 && ['Round', String(execution.round)],
            execution.priority !== 0 && ['Priority', String(execution.priority)],
            execution.cancelReason !== undefined && ['Cancelled', execution.cancelReason],
            execution.partial !== undefined && ['Only', execution.partial.steps.join(', ')],
            [
              'What happened',
              <a key="events" href={to('events', 'correlation', execution.correlationId)}>
                all events of it
              </a>,
            ],
            [
              'Lineage',
              <a key="lineage" href={to('events', { tab: 'lineage', id })}>
                what it took and made
              </a>,
            ],
            execution.parentExecutionId !== undefined && [
              'Asked for by',
              <Id key="parent" of={execution.parentExecutionId} />,
            ],
          ]}
        />
        {Object.keys(execution.parameters).length > 0 && (
          <pre class="json">{JSON.stringify(execution.parameters, undefined, 2)}</pre>
        )}
      </Section>
      <Section title="Steps">
        <Graph {...graphOf(definition, steps, chosen)} title="Steps" onChoose={choose} />
      </Section>
      <Times execution={execution} steps={steps} chosen={chosen} />
      {chosen !== '' && (
        <StepPanel
          key={chosen}
          execution={execution}
          definition={definition}
          step={steps.find(({ step }) => step === chosen)}
        />
      )}
    </>
  );
}

function Times({
  execution,
  steps,
  chosen,
}: {
  readonly execution: ExecutionWithSteps;
  readonly steps: readonly StepExecution[];
  readonly chosen: string;
}): JSX.Element {
  const events = useResource(
    `step events ${execution.id}`,
    (signal) => readStepEvents(execution, signal),
    { on: ['step.'], matters: ({ payload }) => payload['executionId'] === execution.id },
  );
  return (
    <Section title="Times">
      <Shown of={events}>
        {(all) => {
          const attempts = attemptsOf(execution, steps, all);
          if (attempts.length === 0) return <p class="faint">No step has begun yet.</p>;
          return (
            <Gantt
              attempts={attempts}
              from={Math.min(execution.startedAt ?? Infinity, attempts[0]?.startedAt ?? Infinity)}
              to={execution.endedAt}
              chosen={chosen}
              onChoose={({ step, attempt, item }) =>
                setView({
                  step,
                  attempt: attempt > 0 ? String(attempt) : undefined,
                  item: item === undefined ? undefined : String(item),
                })
              }
            />
          );
        }}
      </Shown>
    </Section>
  );
}

function Actions({
  execution,
  steps,
  done,
}: {
  readonly execution: ExecutionWithSteps;
  readonly steps: readonly StepExecution[];
  readonly done: () => void;
}): JSX.Element | null {
  const { id: executionId, pipeline, status, paused } = execution;
  const one = { pipeline, executionId };
  const hasEnded = execution.endedAt !== undefined;
  if (status === 'COMPLETED') return null;
  if (hasEnded) {
    const kept = steps.filter((step) => step.status === 'COMPLETED').length;
    return (
      <Act
        name="Retry"
        does={['executions.retry', `execution:${executionId}`]}
        tone="main"
        title="Begin this execution again?"
        consequence={`${kept} steps have completed and stay as they are; the other ${steps.length - kept} run. It keeps its id and its parameters.`}
        run={() => api.executions.retry(one)}
        done={done}
      />
    );
  }
  return (
    <>
      {paused ? (
        <Act
          name="Resume"
          does={['executions.resume', `execution:${executionId}`]}
          tone="main"
          consequence="Steps that are ready start again."
          run={() => api.executions.resume(one)}
          done={done}
        />
      ) : (
        <Act
          name="Pause"
          does={['executions.pause', `execution:${executionId}`]}
          consequence="What runs goes on to its end; nothing more of it starts until it is resumed."
          run={() => api.executions.pause(one)}
          done={done}
        />
      )}
      <Act
        name="Cancel"
        does={['executions.cancel', `execution:${executionId}`]}
        tone="danger"
        title="Cancel this execution?"
        consequence={`What runs is ended and its results are not taken; ${showDuration(execution.startedAt === undefined ? 0 : Date.now() - execution.startedAt)} of work so far. Steps that have completed stay, and “Retry” goes on after them.`}
        ask="Reason"
        run={(reason) => api.executions.cancel({ ...one, body: reason === '' ? {} : { reason } })}
        done={done}
      />
    </>
  );
}

/** The step that is looked at: of the address, else the one that failed, runs, or came last. */
function chosenOf(steps: readonly StepExecution[]): string {
  const asked = view('step');
  if (steps.some(({ step }) => step === asked)) return asked;
  const of = (status: StepExecution['status']): StepExecution | undefined =>
    steps.find((each) => each.status === status);
  const last = steps.findLast(({ startedAt }) => startedAt !== undefined);
  return (of('FAILED') ?? of('RUNNING') ?? last ?? steps[0])?.step ?? '';
}
