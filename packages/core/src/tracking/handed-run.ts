import type { StartRunOptions } from './start-run-options.ts';

/**
 * What a run that begins here is to be, where whoever started this process has prepared one (`keelson run`): the run of
 * `KEELSON_ACTIVE_RUN`, in the experiment of `KEELSON_ACTIVE_EXPERIMENT` where that is given. It is taken once: by the
 * first run that names no id and no parent. Processes that this one starts do not take it again.
 */
export function takeHandedRun(
  options: StartRunOptions,
  env: Record<string, string | undefined> = process.env,
): StartRunOptions {
  const id = env['KEELSON_ACTIVE_RUN'];
  if (!id || options.id !== undefined || options.parentRunId !== undefined) return options;
  const experiment = env['KEELSON_ACTIVE_EXPERIMENT'] || options.experiment;
  delete env['KEELSON_ACTIVE_RUN'];
  delete env['KEELSON_ACTIVE_EXPERIMENT'];
  return { ...options, id, experiment };
}
