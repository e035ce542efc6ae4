import { access } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type JsonObject, KeelsonError, type Pipeline, type Platform } from '@keelson/core';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { findPipeline } from '../looking/find-by-id.ts';
import { pairsOf } from '../looking/more.ts';

/** `keelson pipeline run`. */
export const command: Command = defineCommand({
  description:
    'Starts a pipeline that is stored, by its name, or the one that a module exports; and waits for its end, running here what can be run here. Exit code 3 where it ends otherwise than well.',
  positionals: { pipeline: { summary: 'Name, or a module such as train.ts that exports one' } },
  options: {
    param: {
      type: 'text',
      placeholder: 'key=value',
      many: true,
      summary: 'A parameter: JSON, else a text',
    },
    version: { type: 'text', summary: 'The highest one when left out' },
    key: { type: 'text', summary: 'With the same key, the same execution' },
    detach: { type: 'flag', summary: 'Do not wait: workers run it' },
  },
  examples: [
    ['keelson pipeline run train.ts --param depth=3', 'What train.ts exports, here'],
    ['keelson pipeline run nightly --detach', 'A stored one, by whoever runs its steps'],
  ],
  async run({ positionals, options, out, platform, progress, cwd, signal }) {
    const pairs = pairsOf(options.param);
    if (typeof pairs === 'string') throw new UsageError(`--param takes key=value, not ${pairs}.`);
    const parameters = Object.fromEntries(
      Object.entries(pairs).map(([key, value]) => [key, jsonOr(value)]),
    ) as JsonObject;
    const opened = await platform();
    const name = await nameOf(opened, positionals.pipeline, cwd);
    const execution = await opened.pipelines.start(name, parameters, {
      ...(options.version === undefined ? {} : { version: options.version }),
      ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
    });
    if (options.detach) {
      out.show(execution, (view) => {
        view.text(`${name} is started: keelson pipelines show ${execution.id}`);
      });
      return exitCodes.ok;
    }
    out.note(`Execution ${execution.id} of ${name}; Ctrl-C leaves it to other processes.`);
    const shown = progress(name, { unit: 'steps', total: execution.totalSteps });
    let done = 0;
    const ended = await opened.pipelines.wait(execution.id, {
      signal,
      onProgress: ({ type }) => {
        if (type === 'step.completed' || type === 'step.skipped') done += 1;
        shown.update(done, { note: type });
      },
    });
    shown.end();
    out.show(ended, (view) => {
      const took = (ended.endedAt ?? 0) - (ended.startedAt ?? ended.queuedAt);
      view.text(`${name}: ${ended.status} after ${view.duration(Math.max(0, took))}.`);
      const { failure } = ended;
      if (failure === undefined) return;
      view.text(`Step ${failure.step ?? '?'} failed: ${failure.message}`);
      view.text(`keelson pipeline logs ${ended.id} ${failure.step ?? ''}`.trimEnd());
    });
    return ended.status === 'COMPLETED' ? exitCodes.ok : exitCodes.findings;
  },
});

/** Of a module: the pipeline that it exports, whose functions this process then runs. */
async function nameOf(platform: Platform, text: string, cwd: string): Promise<string> {
  if (!['.ts', '.mts', '.js', '.mjs'].includes(extname(text))) {
    return findPipeline(platform, text);
  }
  const path = resolve(cwd, text);
  await access(path).catch((cause) => {
    throw new KeelsonError('NOT_FOUND', `There is no module ${path}.`, { cause });
  });
  const module: Readonly<Record<string, unknown>> = await import(pathToFileURL(path).href);
  const found = Object.values(module).filter(isPipeline);
  const [pipeline] = found;
  if (pipeline === undefined || found.length > 1) {
    throw new UsageError(
      `${text} exports ${found.length === 0 ? 'no pipeline' : 'several pipelines'}: export the one that definePipeline answers.`,
    );
  }
  platform.pipelines.add(pipeline);
  return pipeline.definition.name;
}

function isPipeline(value: unknown): value is Pipeline {
  return (
    typeof value === 'object' && value !== null && 'definition' in value && 'functions' in value
  );
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
