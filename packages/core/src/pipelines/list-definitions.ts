import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import type { PipelineDefinition } from './definition.ts';
import { column, equals } from './execution-records.ts';
import type { DefinitionSummary, Pipelines } from './pipelines-types.ts';

type Query = NonNullable<Parameters<Pipelines['definitions']>[0]>;

const shape = z.strictObject({
  name: z.string().min(1).max(255).optional(),
  limit: z.int().min(1).max(1000).optional(),
  cursor: z.string().optional(),
} satisfies Record<keyof Query, z.ZodType>);

/** The definitions that a workspace keeps, by name, of each the last that was stored first. */
export async function listDefinitions(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  query: Query,
): ReturnType<Pipelines['definitions']> {
  checkOptions(shape, query, 'pipelines.definitions');
  const { name, limit = 50, cursor: after } = query;
  const { records, cursor } = await metadata.query(workspace, 'pipeline', {
    ...(name === undefined ? {} : { where: equals('name', name) }),
    orderBy: [
      { by: column('name'), direction: 'asc' },
      { by: column('createdAt'), direction: 'desc' },
      { by: column('id'), direction: 'desc' },
    ],
    limit,
    ...(after === undefined ? {} : { cursor: after }),
  });
  const definitions = records.map(({ columns, body, createdAt }): DefinitionSummary => {
    const { description, steps, tags = {} } = body as unknown as PipelineDefinition;
    return {
      name: columns['name'] as string,
      version: columns['version'] as string,
      digest: columns['digest'] as string,
      ...{ description, steps: steps.length, tags },
      createdBy: columns['createdBy'] as string,
      createdAt,
    };
  });
  return { definitions, ...(cursor === undefined ? {} : { cursor }) };
}
