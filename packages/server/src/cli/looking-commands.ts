import type { CommandRow } from './command.ts';

/** The first words of {@link lookingCommands} that have two. */
export const lookingGroups: Readonly<Record<string, string>> = {
  experiments: 'Groups of runs',
  runs: 'What was trained',
  models: 'Registered models and their versions',
  pipelines: 'Pipelines and their executions',
  deployments: 'What answers requests',
  alerts: 'What fires',
  pipeline: 'Start and end executions',
  rollout: 'Versions that are deployed step by step',
};

/** Commands that look at what is in a platform, and act on it. */
export const lookingCommands: readonly CommandRow[] = [
  {
    name: 'experiments list',
    summary: 'List experiments',
    load: () => import('./commands/experiments-list.ts'),
  },
  {
    name: 'experiments show',
    summary: 'Show an experiment and its newest runs',
    load: () => import('./commands/experiments-show.ts'),
  },
  {
    name: 'runs list',
    summary: 'List runs, newest first',
    load: () => import('./commands/runs-list.ts'),
  },
  {
    name: 'runs show',
    summary: 'Show a run: params, curves, files',
    load: () => import('./commands/runs-show.ts'),
  },
  {
    name: 'models list',
    summary: 'List registered models',
    load: () => import('./commands/models-list.ts'),
  },
  {
    name: 'models show',
    summary: 'Show a model and its versions, or one version',
    load: () => import('./commands/models-show.ts'),
  },
  {
    name: 'pipelines list',
    summary: 'List pipelines and their newest executions',
    load: () => import('./commands/pipelines-list.ts'),
  },
  {
    name: 'pipelines show',
    summary: 'Show an execution step by step',
    load: () => import('./commands/pipelines-show.ts'),
  },
  {
    name: 'deployments list',
    summary: 'List deployments',
    load: () => import('./commands/deployments-list.ts'),
  },
  {
    name: 'deployments show',
    summary: 'Show who answers, and what is under way',
    load: () => import('./commands/deployments-show.ts'),
  },
  {
    name: 'alerts list',
    summary: 'List what fires',
    load: () => import('./commands/alerts-list.ts'),
  },
  {
    name: 'alerts show',
    summary: 'Show an alert with its evidence',
    load: () => import('./commands/alerts-show.ts'),
  },
  {
    name: 'alerts ack',
    summary: 'Say that somebody looks at an alert',
    load: () => import('./commands/alerts-ack.ts'),
  },
  {
    name: 'alerts silence',
    summary: 'Tell nobody of some alerts for a while',
    load: () => import('./commands/alerts-silence.ts'),
  },
  {
    name: 'search',
    summary: 'Find runs, versions, models or experiments',
    load: () => import('./commands/search.ts'),
  },
  {
    name: 'compare',
    summary: 'Compare runs, or versions of models',
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'register',
    summary: 'Register a version of a model',
    load: () => import('./commands/register.ts'),
  },
  {
    name: 'promote',
    summary: 'Ask for a version to move to a stage',
    load: () => import('./commands/promote.ts'),
  },
  {
    name: 'approve',
    summary: 'Approve or reject what waits for it',
    load: () => import('./commands/approve.ts'),
  },
  {
    name: 'rollback',
    summary: 'Go back to what was before',
    load: () => import('./commands/rollback.ts'),
  },
  {
    name: 'pipeline run',
    summary: 'Start a pipeline and wait for its end',
    load: () => import('./commands/pipeline-run.ts'),
  },
  {
    name: 'pipeline logs',
    summary: 'Print what steps have written',
    load: () => import('./commands/pipeline-logs.ts'),
  },
  {
    name: 'pipeline cancel',
    summary: 'End an execution',
    load: () => import('./commands/pipeline-cancel.ts'),
  },
  {
    name: 'pipeline retry',
    summary: 'Run what did not complete again',
    load: () => import('./commands/pipeline-retry.ts'),
  },
  {
    name: 'rollout status',
    summary: 'Show or watch a rollout',
    load: () => import('./commands/rollout-status.ts'),
  },
  {
    name: 'rollout pause',
    summary: 'Keep a rollout at its step',
    load: () => import('./commands/rollout-pause.ts'),
  },
  {
    name: 'rollout resume',
    summary: 'Let a paused rollout go on',
    load: () => import('./commands/rollout-resume.ts'),
  },
  {
    name: 'rollout promote',
    summary: 'Take a rollout to its next step',
    load: () => import('./commands/rollout-promote.ts'),
  },
  {
    name: 'rollout abort',
    summary: 'Turn a rollout back',
    load: () => import('./commands/rollout-abort.ts'),
  },
  {
    name: 'drift',
    summary: 'Compare two files of data',
    load: () => import('./commands/drift.ts'),
  },
  {
    name: 'import-mlflow',
    summary: 'Import what MLflow has',
    load: () => import('./commands/import-mlflow.ts'),
  },
];
