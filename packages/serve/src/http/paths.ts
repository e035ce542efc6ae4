import { refusal } from '../protocol/refusal.ts';

/** What a path asks for. */
export type Endpoint =
  | {
      readonly kind:
        | 'root'
        | 'server'
        | 'live'
        | 'ready'
        | 'index'
        | 'allStats'
        | 'metrics'
        | 'openapi';
    }
  | {
      readonly kind:
        | 'model'
        | 'modelReady'
        | 'versions'
        | 'config'
        | 'stats'
        | 'load'
        | 'unload'
        | 'infer'
        | 'predict'
        | 'status'
        | 'metadata'
        | 'modelOpenapi';
      readonly model: string;
      readonly version: string | undefined;
    };

/** The methods of each kind of endpoint. */
export const methodsOf: Readonly<Record<Endpoint['kind'], readonly string[]>> = {
  root: ['GET', 'HEAD'],
  server: ['GET', 'HEAD'],
  live: ['GET', 'HEAD'],
  ready: ['GET', 'HEAD'],
  index: ['POST'],
  allStats: ['GET', 'HEAD'],
  load: ['POST'],
  unload: ['POST'],
  config: ['GET', 'HEAD'],
  stats: ['GET', 'HEAD'],
  metrics: ['GET', 'HEAD'],
  openapi: ['GET', 'HEAD'],
  modelOpenapi: ['GET', 'HEAD'],
  model: ['GET', 'HEAD'],
  modelReady: ['GET', 'HEAD'],
  versions: ['GET', 'HEAD'],
  infer: ['POST'],
  predict: ['POST'],
  status: ['GET', 'HEAD'],
  metadata: ['GET', 'HEAD'],
};

const fixed: ReadonlyMap<string, Endpoint> = new Map<string, Endpoint>([
  ['', { kind: 'root' }],
  ['v2', { kind: 'server' }],
  ['v2/health/live', { kind: 'live' }],
  ['v2/health/ready', { kind: 'ready' }],
  ['v2/repository/index', { kind: 'index' }],
  ['v2/models/stats', { kind: 'allStats' }],
  ['metrics', { kind: 'metrics' }],
  ['openapi.json', { kind: 'openapi' }],
]);

/** Paths that were asked before; callers ask few paths many times. */
const remembered = new Map<string, Endpoint>();
const maxRemembered = 500;

/** The endpoint of a request's path (query aside, a slash at the end allowed). NOT_FOUND (404) when there is none. */
export function findEndpoint(url: string): Endpoint {
  let endpoint = remembered.get(url);
  if (endpoint !== undefined) return endpoint;
  endpoint = parseEndpoint(url);
  if (remembered.size >= maxRemembered) remembered.clear();
  remembered.set(url, endpoint);
  return endpoint;
}

function parseEndpoint(url: string): Endpoint {
  const query = url.indexOf('?');
  const path = (query < 0 ? url : url.slice(0, query)).replace(/^\//, '').replace(/\/$/, '');
  const endpoint = fixed.get(path) ?? findModelEndpoint(path.split('/'));
  if (endpoint === undefined) {
    throw refusal(
      404,
      'NOT_FOUND',
      `There is nothing at /${path.slice(0, 200)}; inference is at POST /v2/models/{name}/infer.`,
    );
  }
  return endpoint;
}

function findModelEndpoint(segments: readonly string[]): Endpoint | undefined {
  const [protocol, models, ...rest] = segments;
  if (protocol === 'v2' && models === 'repository') return findControl(rest);
  if (models !== 'models' || rest.length === 0) return undefined;
  if (protocol === 'v2') return findV2(rest);
  return protocol === 'v1' ? findV1(rest) : undefined;
}

/** Triton's repository extension: `models/{m}/load` and `models/{m}/unload`. */
function findControl([models, name, action, ...more]: readonly string[]): Endpoint | undefined {
  const model = decode(name);
  if (models !== 'models' || model === '' || more.length > 0) return undefined;
  return action === 'load' || action === 'unload'
    ? { kind: action, model, version: undefined }
    : undefined;
}

function findV2([name, ...rest]: readonly string[]): Endpoint | undefined {
  const model = decode(name);
  const hasVersion = rest[0] === 'versions' && rest.length > 1;
  const version = hasVersion ? decode(rest[1]) : undefined;
  const [action, ...more] = hasVersion ? rest.slice(2) : rest;
  if (model === '' || version === '' || more.length > 0) return undefined;
  switch (action) {
    case undefined:
      return { kind: 'model', model, version };
    case 'ready':
      return { kind: 'modelReady', model, version };
    case 'infer':
    case 'config':
    case 'stats':
      return { kind: action, model, version };
    case 'openapi.json':
      return hasVersion ? undefined : { kind: 'modelOpenapi', model, version };
    case 'versions':
      return hasVersion ? undefined : { kind: 'versions', model, version };
    default:
      return undefined;
  }
}

/** TensorFlow Serving's paths: `{m}`, `{m}/metadata`, `{m}:predict`, each with `/versions/{v}` as well. */
function findV1(segments: readonly string[]): Endpoint | undefined {
  const isMetadata = segments.at(-1) === 'metadata' && segments.length > 1;
  const rest = isMetadata ? segments.slice(0, -1) : segments;
  if (rest.length !== 1 && !(rest.length === 3 && rest[1] === 'versions')) return undefined;
  const last = rest.at(-1) as string;
  const isPredict = last.endsWith(':predict') && !isMetadata;
  const names = [...rest.slice(0, -1), isPredict ? last.slice(0, -':predict'.length) : last];
  const model = decode(names[0]);
  const version = names.length === 3 ? decode(names[2]) : undefined;
  if (model === '' || version === '') return undefined;
  return { kind: isMetadata ? 'metadata' : isPredict ? 'predict' : 'status', model, version };
}

function decode(segment: string | undefined): string {
  try {
    return decodeURIComponent(segment ?? '');
  } catch (cause) {
    throw refusal(400, 'SYNTAX', `The path has a malformed escape in "${segment?.slice(0, 60)}".`, {
      cause,
    });
  }
}
