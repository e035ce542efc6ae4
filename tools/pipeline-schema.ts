import { mkdir, writeFile } from 'node:fs/promises';
import { pipelineFileSchema } from '../packages/core/src/pipelines/pipeline-file.ts';

// Writes the published JSON Schema of pipeline files anew: node --conditions=keelson:source tools/pipeline-schema.ts
const file = new URL('../packages/core/schemas/pipeline.schema.json', import.meta.url);
await mkdir(new URL('.', file), { recursive: true });
await writeFile(file, `${JSON.stringify(pipelineFileSchema(), null, 2)}\n`);
