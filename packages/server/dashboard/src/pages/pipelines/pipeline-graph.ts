import type { PipelineDefinition, StepExecution } from '@keelson/core';
import { showDuration } from '../../parts/format.ts';
import type { GraphEdge, GraphNode } from '../../parts/graph.tsx';

type StepDefinition = PipelineDefinition['steps'][number];
/** Where an input comes from. */
export type Source = StepDefinition['inputs'][string]['from'];

/** The steps of a definition as a graph, with how they stand where they are executed. */
export function graphOf(
  definition: PipelineDefinition,
  executed: readonly StepExecution[] = [],
  chosen = '',
): { readonly nodes: readonly GraphNode[]; readonly edges: readonly GraphEdge[] } {
  const states = new Map(executed.map((each) => [each.step, each]));
  const nodes = definition.steps.map((step): GraphNode => {
    const state = states.get(step.name);
    return {
      ...{ id: step.name, title: step.name, current: step.name === chosen },
      ...(state === undefined ? {} : { status: state.status }),
      about: state === undefined ? kindOf(step) : aboutOf(state),
    };
  });
  const edges = definition.steps.flatMap((step) =>
    step.dependsOn.map((from): GraphEdge => {
      const names = inputsFrom(step, from);
      return { from, to: step.name, ...(names.length === 0 ? {} : { label: names.join(', ') }) };
    }),
  );
  return { nodes, edges };
}

/** What a step runs, in a word or two. */
export function kindOf({ run, forEach }: StepDefinition): string {
  return `${forEach === undefined ? '' : 'each: '}${run.type === 'image' ? run.image : run.type}`;
}

/** Where a value comes from, step by step. */
export function sourcesOf(
  from: Source,
): readonly { readonly step?: string; readonly text: string }[] {
  const all = Array.isArray(from) ? from : [from];
  return all.map((each: Exclude<Source, readonly unknown[]>) => {
    if ('step' in each) {
      const output = each.output === undefined ? '' : `.${each.output}`;
      return { step: each.step, text: `${each.step}${output}` };
    }
    if ('parameter' in each) return { text: `parameter ${each.parameter}` };
    return { text: JSON.stringify(each.value) };
  });
}

function inputsFrom(step: StepDefinition, from: string): readonly string[] {
  return Object.entries(step.inputs)
    .filter(([, input]) => sourcesOf(input.from).some((source) => source.step === from))
    .map(([name]) => name);
}

function aboutOf(state: StepExecution): string {
  if (state.cachedFrom !== undefined) return 'cached';
  if (state.items !== undefined) {
    const left = state.itemsLeft ?? 0;
    return `${state.items - left}/${state.items} items`;
  }
  if (state.progress !== undefined && state.status === 'RUNNING') {
    return `${Math.round(state.progress.share * 100)} %`;
  }
  const { startedAt, endedAt, attempt } = state;
  const took =
    startedAt === undefined || endedAt === undefined ? '' : showDuration(endedAt - startedAt);
  return attempt > 1 ? `${took} try ${attempt}`.trim() : took;
}
