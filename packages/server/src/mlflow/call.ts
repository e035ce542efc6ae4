import type { Services } from '@keelson/core';
import type { Reader } from './encoding.ts';
import type { RunHandles } from './run-handles.ts';

/** What a call works with. */
export interface CallContext {
  /** Those of whoever calls. */
  readonly services: Services;
  readonly runs: RunHandles;
}

/** A call of MLflow's protocol: a row of its table. */
export interface Call {
  /** GET requests carry their fields in the query, others in a JSON body. */
  readonly methods: readonly string[];
  /** Below `/api/2.0/mlflow/`; `{model_id}` stands for a field. */
  readonly path: string;
  answer(
    fields: Readonly<Record<string, unknown>>,
    isQuery: boolean,
    context: CallContext,
  ): Promise<object>;
}

/** A row of the table: what is asked is read by `request`, and answered by `run`. */
export function call<T>(
  methods: string,
  path: string,
  request: Reader<T>,
  run: (fields: T, context: CallContext) => Promise<object>,
): Call {
  return {
    methods: methods.split(' '),
    path,
    answer: (fields, query, context) => run(request(fields, { path: '', query }), context),
  };
}
