import type { FunctionComponent } from 'preact';

/** The pages, by the first part of their address; each is loaded when it is first looked at. */
export const pages: Readonly<Record<string, () => Promise<FunctionComponent>>> = {
  '': async () => (await import('./overview/overview.tsx')).Overview,
  runs: async () => (await import('./runs/runs.tsx')).Runs,
  run: async () => (await import('./run/run.tsx')).RunPage,
  charts: async () => (await import('./charts/charts.tsx')).Charts,
  compare: async () => (await import('./compare/compare.tsx')).Compare,
  models: async () => (await import('./models/models.tsx')).Models,
  monitoring: async () => (await import('./monitoring/monitoring.tsx')).Monitoring,
  pipelines: async () => (await import('./pipelines/pipelines.tsx')).Pipelines,
  events: async () => (await import('./events/events.tsx')).Events,
  system: async () => (await import('./system/system.tsx')).System,
  deployments: async () => (await import('./deployments/deployments.tsx')).Deployments,
  missing: async () => (await import('./missing.tsx')).Missing,
};
