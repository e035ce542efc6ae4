import type { Execution, JsonObject, NewTrigger, Trigger } from '@keelson/core';
import { z } from 'zod';
import { readBody } from '../../http/request-body.ts';
import { badInput } from '../read-input.ts';
import type { Route } from '../route.ts';
import { answered, asked } from '../schemas.ts';
import { trigger } from './pipeline-rows.ts';
import { ofTrigger } from './revised-records.ts';

/** What a call of a webhook came to. */
export interface WebhookAnswer {
  /** Left out where the trigger's condition was false. */
  readonly execution?: Pick<Execution, 'id' | 'pipeline' | 'status'>;
}

interface OneTrigger {
  readonly trigger: string;
}

const maxBytes = 2 ** 20;

/** Triggers of pipelines, and calls from outside that fire them. */
export const webhookRows: {
  readonly put: Route<OneTrigger & { readonly body: Omit<NewTrigger, 'name'> }, Trigger>;
  readonly pause: Route<OneTrigger, Trigger>;
  readonly resume: Route<OneTrigger, Trigger>;
  readonly remove: Route<OneTrigger, undefined>;
  readonly receive: Route<{ readonly trigger: string; readonly body?: unknown }, WebhookAnswer>;
} = {
  put: {
    method: 'PUT',
    path: '/pipelines/triggers/{trigger}',
    revisions: ofTrigger,
    summary:
      'Makes a trigger or changes it: one that hears events, or one that is called (a webhook)',
    permission: 'pipeline.define',
    body: asked<Omit<NewTrigger, 'name'>>({
      pipeline: z.string().min(1).max(255),
      version: z.string().describe('The highest when left out').optional(),
      on: z
        .string()
        .min(1)
        .max(255)
        .describe('A type of events, such as drift.detected; called from outside when left out')
        .optional(),
      when: z.string().max(4096).describe('CEL over `event`').optional(),
      parameters: z
        .record(z.string().max(255), z.string().max(4096))
        .describe('Parameter → CEL over `event`')
        .optional(),
    }),
    answers: { as: 'json', schema: trigger },
    example: { trigger: 'idle', body: { pipeline: 'train' } },
    run: ({ services, input: { trigger: name, body } }) =>
      services.pipelines.triggers.put({ ...body, name }),
  },
  pause: switches('pause', 'Events and calls that come meanwhile start nothing, also later'),
  resume: switches('resume', 'Hears again'),
  remove: {
    method: 'DELETE',
    path: '/pipelines/triggers/{trigger}',
    revisions: ofTrigger,
    summary: 'Takes a trigger away',
    permission: 'pipeline.define',
    answers: { as: 'nothing' },
    example: { trigger: 'idle' },
    async run({ services, input }) {
      await services.pipelines.triggers.remove(input.trigger);
      return undefined;
    },
  },
  receive: {
    method: 'POST',
    path: '/webhooks/{trigger}',
    summary: 'Starts the pipeline of a trigger, for callers that sign what they send',
    description:
      'Signed as Standard Webhooks: `webhook-id`, `webhook-timestamp` (seconds, 5 minutes from now at most) and `webhook-signature` (`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`). A call of the same id starts nothing anew and is answered as the first was. The secrets are an option of the handler; the JSON that is sent is `event.payload` of the trigger.',
    permission: 'open',
    isSigned: true,
    upload: { mediaTypes: ['application/json'] },
    answers: {
      as: 'json',
      status: 202,
      schema: answered<WebhookAnswer>('WebhookAnswer', {
        execution: z
          .looseObject({ id: z.string(), pipeline: z.string(), status: z.string() })
          .optional(),
      }),
    },
    example: { trigger: 'from-ci', body: { branch: 'main' } },
    async run({ input, headers, bytes, webhooks }) {
      const body = await readBody({ headers, body: bytes }, maxBytes);
      const { id, payload, services } = webhooks.prove(input.trigger, headers, body);
      if (typeof payload !== 'object' || payload === null || Array.isArray(payload))
        throw badInput([{ path: 'body', message: 'is no JSON object' }]);
      const begun = await services.pipelines.triggers.fire(input.trigger, payload as JsonObject, {
        id,
      });
      if (begun === undefined) return {};
      return { execution: { id: begun.id, pipeline: begun.pipeline, status: begun.status } };
    },
  },
};

function switches(verb: 'pause' | 'resume', summary: string): Route<OneTrigger, Trigger> {
  return {
    method: 'POST',
    path: `/pipelines/triggers/{trigger}/${verb}`,
    revisions: ofTrigger,
    summary,
    permission: 'pipeline.define',
    answers: { as: 'json', schema: trigger },
    example: { trigger: 'idle' },
    run: ({ services, input }) => services.pipelines.triggers[verb](input.trigger),
  };
}
