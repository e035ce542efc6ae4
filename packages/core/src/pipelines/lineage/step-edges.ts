import type { Change } from '../../contracts/metadata-store.ts';
import { digestJson } from '../../json.ts';
import { lineagePrefixes } from '../../registry/lineage-edges.ts';
import type { StepDefinition } from '../definition.ts';
import { derivedId } from '../execution.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import { attemptRunId, type StepState, stepExecutionId } from '../step-execution.ts';

/** What the inputs of a step come from. */
export interface InputOrigins {
  /** The records of the steps whose values they are. */
  readonly steps: readonly string[];
  /** SHA-256 of the artifacts among them. */
  readonly contents: readonly string[];
}

/** What goes into a step, as far as it is known when an attempt of it begins. */
export interface StepOrigins extends InputOrigins {
  /** Nodes of what it runs: see {@link codeNodes}. */
  readonly code: readonly string[];
  /** The attempt whose run of tracking is there, if any. */
  readonly tracked?: number;
}

type Where = Pick<StepState, 'id' | 'executionId' | 'step' | 'mapKey'>;

/** An edge of the lineage, as a change. Its id is made of what it says, within the execution. */
export type EdgeChange = Extract<Change, { readonly op: 'create' }>;

function edge(executionId: string, from: string, to: string, role: string): EdgeChange {
  const id = derivedId(executionId, 'edge', from, to, role);
  return { op: 'create', kind: 'edge', id, columns: { from, to, role } };
}

function nodes({ steps, contents }: InputOrigins): readonly string[] {
  return [...steps, ...contents.map((sha256) => `${lineagePrefixes.artifact}${sha256}`)];
}

/** What led to a step: its execution, its run, what it runs, and what its inputs come from. */
export function edgesInto(where: Where, origins: StepOrigins): readonly EdgeChange[] {
  const { id, executionId, step, mapKey } = where;
  const { tracked, code } = origins;
  const run = tracked && attemptRunId(executionId, step, tracked, mapKey);
  const into = (from: string, role: string) => edge(executionId, from, id, `step:${role}`);
  return [
    into(executionId, 'step'),
    ...(run ? [into(run, 'attempt')] : []),
    ...code.map((node) => into(node, isImage(node) ? 'environment' : 'code')),
    ...nodes(origins).map((node) => into(node, 'input')),
  ];
}

/** What a step has come to, as far as the lineage tells. */
export interface StepMade {
  readonly artifacts: readonly ArtifactFacts[];
  /** The digest of what it ran in. */
  readonly image?: string | undefined;
  /** SHA-256 of what it had among its inputs: put out again, it comes from there. */
  readonly taken?: readonly string[] | undefined;
  /** The records of steps of another execution whose values its output is made of. */
  readonly joined?: readonly string[] | undefined;
}

/** What came of a step. */
export function edgesOutOf(where: Where, made: StepMade): readonly EdgeChange[] {
  const { id, executionId, step, mapKey } = where;
  const taken = new Set(made.taken);
  const contents = new Set(made.artifacts.map(({ sha256 }) => sha256));
  return [
    ...(made.image === undefined
      ? []
      : [edge(executionId, `${lineagePrefixes.image}${made.image}`, id, 'step:environment')]),
    ...(mapKey === ''
      ? []
      : [edge(executionId, id, stepExecutionId(executionId, step), 'step:item')]),
    ...(made.joined ?? []).map((from) => edge(executionId, from, id, 'step:input')),
    ...[...contents]
      .filter((sha256) => !taken.has(sha256))
      .map((sha256) =>
        edge(executionId, id, `${lineagePrefixes.artifact}${sha256}`, 'step:output'),
      ),
  ];
}

/** What is kept of an attempt of a step that failed, but for what it had among its inputs. */
export function edgesOfKept(
  { id, executionId }: Where,
  { artifacts, taken = [] }: Pick<StepMade, 'artifacts' | 'taken'>,
): readonly EdgeChange[] {
  const contents = new Set(artifacts.map(({ sha256 }) => sha256));
  for (const sha256 of taken) contents.delete(sha256);
  return [...contents].map((sha256) =>
    edge(executionId, id, `${lineagePrefixes.artifact}${sha256}`, 'step:kept'),
  );
}

/** That a step has the result of another. */
export function edgeOfCached(where: Where, origin: string): EdgeChange {
  return edge(where.executionId, origin, where.id, 'step:cached');
}

/**
 * What led to an execution that a step asked for: not the step, whose output the execution's is to be, but what
 * led to that.
 */
export function edgesIntoChild(
  where: Where,
  childId: string,
  origins: StepOrigins,
): readonly EdgeChange[] {
  const { executionId, step, mapKey } = where;
  const { tracked } = origins;
  const run = tracked && attemptRunId(executionId, step, tracked, mapKey);
  const into = (from: string, role: string) =>
    edge(executionId, from, childId, `execution:${role}`);
  return [
    into(executionId, 'continued'),
    ...(run ? [into(run, 'attempt')] : []),
    ...nodes(origins).map((node) => into(node, 'input')),
  ];
}

/** The record of the step that made the result which stands for that of a step. */
export function originOf({
  id,
  cachedFrom,
  cacheKey,
}: Pick<StepState, 'id' | 'cachedFrom' | 'cacheKey'>): string {
  // One that the start of the execution took over has no edges of its own.
  if (cachedFrom === undefined || cacheKey !== undefined) return id;
  return stepExecutionId(cachedFrom.executionId, cachedFrom.step, cachedFrom.mapKey);
}

const longestName = 120;

/**
 * The nodes of what a step runs: `code:<pipeline>/<step>@<version>` for a function with a version,
 * `code:<module>#<export>@<digest>`, `code:<command>@<digest>`, `image:<name>`. `code` is what tells its code
 * apart, where that is known. None for a function without a version: nobody could find it again.
 */
export function codeNodes(
  pipeline: string,
  step: Pick<StepDefinition, 'name' | 'run'>,
  code: string | undefined,
): readonly string[] {
  const { run } = step;
  const node = (name: string, digest: string | undefined): string =>
    `${lineagePrefixes.code}${name.slice(0, longestName)}${digest === undefined ? '' : `@${digest}`}`;
  const command = (words: readonly string[]): string =>
    node(words.join(' '), digestJson([words, code ?? '']));
  switch (run.type) {
    case 'function':
      return run.version === undefined
        ? []
        : [node(`${pipeline}/${step.name}`, run.version.slice(0, longestName))];
    case 'module':
      return [
        node(`${run.module.slice(-longestName + run.export.length + 1)}#${run.export}`, code),
      ];
    case 'command':
      return [command(run.command)];
    case 'image':
      return [
        ...(run.command === undefined
          ? []
          : [node(run.command.join(' '), digestJson(run.command))]),
        `${lineagePrefixes.image}${run.image}`,
      ];
  }
}

function isImage(node: string): boolean {
  return node.startsWith(lineagePrefixes.image);
}
