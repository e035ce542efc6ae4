import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  currentCorrelation,
  definePipeline,
  headersOfCorrelation,
  inSpan,
  openPlatform,
} from '@keelson/core';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { expect, onTestFinished, test } from 'vitest';
import { serve } from './serve.ts';
import { ServingBed, weatherBody } from './testing/serving-bed.ts';

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status?: { readonly code?: number };
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly {
    readonly key: string;
    readonly value: Readonly<Record<string, unknown>>;
  }[];
}

/** A collector that speaks OTLP over HTTP in JSON, and keeps the spans. */
async function openCollector(): Promise<{ url: string; spans: OtlpSpan[] }> {
  const spans: OtlpSpan[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (request.url !== '/v1/traces' || request.headers['content-type'] !== 'application/json') {
        response.writeHead(400).end();
        return;
      }
      const body = JSON.parse(Buffer.concat(parts).toString()) as {
        resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[];
      };
      for (const { scopeSpans } of body.resourceSpans) {
        for (const scope of scopeSpans) spans.push(...scope.spans);
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`, spans };
}

/** Sets an SDK for the test; what flushes it. */
function setSdk(url: string): () => Promise<void> {
  const provider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: new OTLPTraceExporter({ url }) })],
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  onTestFinished(async () => {
    await provider.shutdown();
    trace.disable();
    context.disable();
    propagation.disable();
  });
  return () => provider.forceFlush();
}

test('one trace from a request over its event and a pipeline step to a prediction', async () => {
  const collector = await openCollector();
  const flush = setSdk(collector.url);
  await using bed = await ServingBed.open();
  await bed.addModel('a');
  bed.setRoute({ a: 100 });
  await using serving = await serve(bed.source, { deployments: ['weather'], port: 0 });
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  await using platform = await openPlatform({ dir: `${bed.dir}/.keelson`, logger });
  const predicted = Promise.withResolvers<number>();
  const pipeline = definePipeline('score', { version: '1.0.0' }, (p) => {
    p.step('ask', {}, async () => {
      const correlation = currentCorrelation();
      if (correlation === undefined) throw new Error('no correlation');
      const answer = await fetch(`${serving.url}/v2/models/weather/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headersOfCorrelation(correlation) },
        body: weatherBody([[1, 2]]),
      });
      predicted.resolve(answer.status);
      return answer.status;
    });
  });
  await platform.events.subscribe('score', { types: ['order.placed'] }, async () => {
    await platform.pipelines.start(pipeline);
  });
  platform.start();
  // A user's own service, instrumented by the SDK.
  const root = trace.getTracer('shop').startSpan('POST /orders');
  await context.with(trace.setSpan(context.active(), root), () =>
    platform.events.publish({ type: 'order.placed', subject: 'order:1' }),
  );
  root.end();
  expect(await predicted.promise).toBe(200);
  await platform.close();
  await serving.close();
  await flush();

  const { traceId } = root.spanContext();
  const byId = new Map(collector.spans.map((span) => [span.spanId, span]));
  const pathOf = (name: string): string[] => {
    const path: string[] = [];
    let span = collector.spans.find((each) => each.name === name && each.traceId === traceId);
    for (; span !== undefined; span = byId.get(span.parentSpanId ?? '')) path.unshift(span.name);
    return path;
  };
  expect(pathOf('process order.placed')).toEqual([
    'POST /orders',
    'events.publish',
    'process order.placed',
  ]);
  expect(pathOf('predict')).toEqual([...pathOf('step ask'), 'POST infer', 'predict']);
  // How long it waited, and how long the model took, by spans one behind the other and by numbers.
  const find = (name: string): OtlpSpan => {
    const found = collector.spans.find((each) => each.name === name && each.traceId === traceId);
    if (found === undefined) throw new Error(`no span ${name}`);
    return found;
  };
  const [predict, queue, model] = ['predict', 'queue', 'model'].map(find) as [
    OtlpSpan,
    OtlpSpan,
    OtlpSpan,
  ];
  expect([queue.parentSpanId, model.parentSpanId]).toEqual([predict.spanId, predict.spanId]);
  expect(queue.endTimeUnixNano).toBe(model.startTimeUnixNano);
  const facts = Object.fromEntries(
    predict.attributes.map(({ key, value }) => [key, Object.values(value)[0]]),
  );
  expect(facts).toMatchObject({
    'keelson.rows': 1,
    'keelson.batch_rows': 1,
    'keelson.attempts': 1,
  });
  const modelMs = Number(BigInt(model.endTimeUnixNano) - BigInt(model.startTimeUnixNano)) / 1e6;
  expect(Math.abs(modelMs - Number(facts['keelson.inference_ms']))).toBeLessThan(0.01);
  expect(pathOf('step ask')[0]).toBe('POST /orders');
  expect(collector.spans.find(({ name }) => name === 'POST infer')?.kind).toBe(2);
});

test('a failure is marked, and without an SDK work is just done', async () => {
  expect(inSpan('x', {}, () => 5)).toBe(5);
  const collector = await openCollector();
  const flush = setSdk(collector.url);
  await expect(inSpan('bad', {}, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(() =>
    inSpan('worse', {}, () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  expect(inSpan('given', { traceparent, kind: 'server' }, () => currentCorrelation())).toEqual({
    correlationId: 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa',
  });
  await flush();
  expect(collector.spans.map(({ name, status }) => [name, status?.code])).toEqual([
    ['bad', 2],
    ['worse', 2],
    ['given', 0],
  ]);
  expect(collector.spans[2]).toMatchObject({
    traceId: 'a'.repeat(32),
    parentSpanId: 'b'.repeat(16),
  });
});
