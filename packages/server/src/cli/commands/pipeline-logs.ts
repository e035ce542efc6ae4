import { KeelsonError } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';
import { findExecution } from '../looking/find-by-id.ts';

/** `keelson pipeline logs`. */
export const command: Command = defineCommand({
  positionals: {
    execution: { summary: 'Id of an execution, or a pipeline for its newest one' },
    step: { summary: 'All that have a log when left out', optional: true },
  },
  options: {
    follow: { type: 'flag', short: 'f', summary: 'Go on with what is still written' },
    attempt: { type: 'integer', min: 1, summary: 'The last one when left out' },
  },
  examples: [['keelson pipeline logs train fit --follow', 'What the step fit writes']],
  async run({ positionals, options, out, platform, signal }) {
    const opened = await platform();
    const execution = await findExecution(opened, positionals.execution);
    const steps = await opened.pipelines.steps(execution.id);
    const names = steps.map(({ step }) => step);
    if (positionals.step !== undefined && !names.includes(positionals.step)) {
      throw new KeelsonError(
        'NOT_FOUND',
        `The execution has no step ${positionals.step}; it has ${names.join(', ')}.`,
      );
    }
    const wanted = positionals.step === undefined ? names : [positionals.step];
    for (const step of wanted) {
      const of = options.attempt === undefined ? {} : { attempt: options.attempt };
      try {
        const chunks = opened.pipelines.logs(execution.id, step, {
          ...{ follow: options.follow, signal, ...of },
        });
        for await (const { stream, at, text } of chunks) {
          const prefix = wanted.length > 1 ? `${step}: ` : '';
          out.item({ step, stream, at, text }, `${prefix}${text.replace(/\n$/, '')}`);
        }
      } catch (error) {
        const isNone = error instanceof KeelsonError && error.code === 'NOT_FOUND';
        if (!isNone || wanted.length === 1) throw error;
      }
    }
  },
});
