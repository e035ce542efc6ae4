import type { ServedModel } from '../serving-source.ts';
import { type DescribedVersion, versionPaths, versionSchemas } from './deployment-paths.ts';
import { exampleRequests } from './example-requests.ts';
import { operation, type Paths, sharedComponents } from './shared-components.ts';
import type { Schema } from './tensor-schemas.ts';

/** A deployment as its description needs it. */
export interface DescribedDeployment {
  readonly name: string;
  /** Those that can be asked for, the one that most requests go to first. */
  readonly versions: readonly ServedModel[];
}

/**
 * The OpenAPI 3.1 document of deployments, made from the signatures of their versions, with requests that their models
 * answer. With `server`, the paths of the whole server are described as well. A deployment without a
 * loaded version is left out.
 */
export async function openApiDocument(
  deployments: readonly DescribedDeployment[],
  options: { readonly server: boolean },
): Promise<Schema> {
  const described: DescribedVersion[] = [];
  const taken = new Set<string>();
  for (const { name, versions } of deployments) {
    const keyOf = versions.map(({ version }) => uniqueKey(`${name}-${version}`, taken));
    for (const [place, model] of versions.entries()) {
      const examples = await exampleRequests(model);
      const key = keyOf[place] as string;
      const isFirst = place === 0;
      described.push({ deployment: name, isFirst, model, examples, key, keys: keyOf });
    }
  }
  const shared = sharedComponents();
  const [only] = deployments;
  const title = options.server ? 'Keelson inference server' : `Deployment ${only?.name}`;
  const version = (options.server ? undefined : only?.versions[0]?.version) ?? '0';
  return {
    openapi: '3.1.0',
    info: {
      title,
      version,
      description:
        'The Open Inference Protocol v2 and the predict requests of TensorFlow Serving. Sizes of −1 are free; a free first one is the number of rows.',
    },
    tags: deployments.map(({ name }) => ({ name })),
    paths: {
      ...(options.server ? serverPaths() : {}),
      ...Object.assign({}, ...described.map(versionPaths)),
    },
    components: {
      ...shared,
      schemas: { ...shared.schemas, ...Object.assign({}, ...described.map(versionSchemas)) },
    },
  };
}

/** A name as keys of components may be, other than those taken. */
function uniqueKey(name: string, taken: Set<string>): string {
  const plain = name.replace(/[^A-Za-z0-9._-]/g, '_');
  let key = plain;
  for (let i = 2; taken.has(key); i += 1) key = `${plain}_${i}`;
  taken.add(key);
  return key;
}

function serverPaths(): Paths {
  const object = (required: readonly string[]): Schema => ({ type: 'object', required });
  return {
    '/': { get: operation('alive', 'Whether there is a server', object(['status'])) },
    '/v2': {
      get: operation('server', 'Metadata of the server', object(['name', 'version', 'extensions'])),
    },
    '/v2/health/live': { get: operation('live', 'Whether the process lives', object(['live'])) },
    '/v2/health/ready': {
      get: operation('ready', 'Whether some deployment answers', object(['live', 'ready']), [
        '503',
      ]),
    },
    '/v2/repository/index': {
      post: operation('index', 'The versions that are served', {
        type: 'array',
        items: object(['name', 'state']),
      }),
    },
    '/metrics': {
      get: {
        operationId: 'metrics',
        summary: "Metrics in Prometheus's text format",
        responses: {
          200: { description: 'OK', content: { 'text/plain': { schema: { type: 'string' } } } },
        },
      },
    },
    '/openapi.json': {
      get: operation('openapi', 'This description', object(['openapi', 'info', 'paths'])),
    },
  };
}
