// Models inside services that are there already: the same deployments, mounted in Fastify, Express and Hono.
import { openServing } from '@keelson/serve';
import { type Mounted, mountInExpress, mountInFastify, mountInHono } from './mounts.ts';
import { weatherSource } from './weather-model.ts';

const source = await weatherSource();
const mounts: Record<
  string,
  (serving: Awaited<ReturnType<typeof openServing>>) => Promise<Mounted>
> = {
  Fastify: mountInFastify,
  Express: mountInExpress,
  Hono: mountInHono,
};

for (const [name, mount] of Object.entries(mounts)) {
  const serving = await openServing(source, { deployments: ['weather'] });
  const service = await mount(serving);
  const hello = await (await fetch(`${service.url}/hello`)).text();
  const answer = await fetch(`${service.url}/v1/models/weather:predict`, {
    method: 'POST',
    body: JSON.stringify({ instances: [{ wind: 1, cloud: 3 }] }),
  });
  const version = answer.headers.get('x-model-version');
  console.log(`${name}: ${hello}, and version ${version} says ${await answer.text()}`);
  // In this order: what is under way still finds its models.
  await service.close();
  await serving.close();
}
