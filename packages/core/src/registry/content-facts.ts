import { z } from 'zod';
import type { ModelFacts, ModelFiles, ModelFormat } from '../contracts/model-format.ts';
import type { Datatype, ModelSignature, TensorSpec } from '../contracts/model-runtime.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { readModelFacts } from './formats/read-model-facts.ts';
import type { ModelFile } from './model-version.ts';

/** What a caller says of a version's files. */
export interface StatedFacts {
  /**
   * Read from the files when left out. `CUSTOM` and `JS` say that the files are the business of the caller's code,
   * whatever is among them: they are not looked at.
   */
  readonly format?: ModelFormat;
  /** Read from the files when left out, where they tell. */
  readonly signature?: ModelSignature;
  /** `caller`: what is said counts, also where the files say something else, or are damaged. */
  readonly trust?: 'files' | 'caller';
}

const formats: readonly ModelFormat[] = [
  ...(['ONNX', 'TENSORFLOW', 'PYTORCH', 'SKLEARN', 'XGBOOST', 'PICKLE'] as const),
  ...(['TFJS', 'JS', 'CUSTOM'] as const),
];

const datatypes = [
  ...(['BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64'] as const),
  ...(['FP16', 'BF16', 'FP32', 'FP64', 'BYTES'] as const),
] satisfies readonly Datatype[];
const tensor = z.looseObject({
  name: z.string(),
  datatype: z.enum(datatypes),
  shape: z.array(z.int().min(-1)),
});

/** The checks of {@link StatedFacts}, among other options. */
export const statedFacts: z.ZodObject = z.object({
  format: z.enum(formats).optional(),
  signature: z.looseObject({ inputs: z.array(tensor), outputs: z.array(tensor) }).optional(),
  trust: z.enum(['files', 'caller']).optional(),
} satisfies Record<keyof StatedFacts, z.ZodType>);

/** What a version is registered with. */
export interface ContentFacts {
  readonly format: ModelFormat;
  readonly signature?: ModelSignature;
  /** What else the files tell. */
  readonly facts?: Pick<ModelFacts, 'framework' | 'details' | 'notes'>;
}

/**
 * Format and signature, as they are stated or as the files tell. INVALID, naming both, where the two contradict
 * each other; INVALID where nobody knows the format; as the readers of formats for damaged files.
 */
export async function contentFacts(
  scope: Pick<Scope, 'artifacts'>,
  files: readonly ModelFile[],
  stated: StatedFacts,
): Promise<ContentFacts> {
  const { format, signature, trust = 'files' } = stated;
  const given = signature === undefined ? {} : { signature };
  if (format === 'CUSTOM' || format === 'JS') return { format, ...given };
  if (format !== undefined && signature !== undefined && trust === 'caller') {
    return { format, signature };
  }
  const read = await readFacts(
    storedFiles(scope, files),
    format !== undefined && trust === 'caller',
  );
  if (read === undefined) {
    if (format !== undefined) return { format, ...given };
    throw new KeelsonError(
      'INVALID',
      `What these files are cannot be told from them (${files
        .slice(0, 3)
        .map(({ path }) => path)
        .join(
          ', ',
        )}${files.length > 3 ? ' …' : ''}); say format: 'JS' for a module that Keelson runs, 'CUSTOM' for files that only your code reads, or one of ${formats.slice(0, -2).join(', ')}.`,
    );
  }
  if (trust === 'files') assertAgree(read, stated);
  const { framework, details, notes } = read;
  return {
    format: format ?? read.format,
    facts: { details, notes, ...(framework === undefined ? {} : { framework }) },
    ...(read.signature === undefined ? {} : { signature: read.signature }),
    // What the caller says may be narrower than what the files do.
    ...given,
  };
}

/** What is wrong with the files is of no interest where the caller knows better. */
async function readFacts(files: ModelFiles, lenient: boolean): Promise<ModelFacts | undefined> {
  try {
    return await readModelFacts(files);
  } catch (error) {
    if (lenient && isKeelsonError(error, 'CORRUPT', 'INVALID')) return undefined;
    throw error;
  }
}

/** The files where they lie now: whatever is read of them is verified. */
function storedFiles(
  { artifacts }: Pick<Scope, 'artifacts'>,
  files: readonly ModelFile[],
): ModelFiles {
  const digests = new Map(files.map(({ path, sha256 }) => [path, sha256]));
  return {
    files: files.map(({ path, sizeBytes }) => ({ path, sizeBytes })),
    async read(path, range) {
      const sha256 = digests.get(path);
      if (sha256 === undefined) throw new KeelsonError('NOT_FOUND', `There is no file ${path}.`);
      const pieces = await Array.fromAsync(await artifacts.open(sha256, range));
      return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
    },
  };
}

function assertAgree(read: ModelFacts, { format, signature }: StatedFacts): void {
  const problems: string[] = [];
  if (format !== undefined && format !== read.format) {
    problems.push(`the format is said to be ${format}, and the files are ${read.format}`);
  }
  if (signature !== undefined && read.signature !== undefined) {
    problems.push(...contradictions(signature, read.signature));
  }
  if (problems.length === 0) return;
  throw new KeelsonError(
    'INVALID',
    `What is said of these files is not what they say themselves: ${problems.slice(0, 10).join('; ')}. Leave it out, to have it read from the files, or pass trust: 'caller'.`,
    { details: { problems } },
  );
}

/**
 * What cannot both be true of a model's tensors, by side and name. One may say less than the other: free
 * dimensions, outputs left out.
 */
export function contradictions(said: ModelSignature, read: ModelSignature): readonly string[] {
  return [
    ...sideContradictions('input', said.inputs, read.inputs),
    ...sideContradictions('output', said.outputs, read.outputs),
  ];
}

function sideContradictions(
  side: 'input' | 'output',
  said: readonly TensorSpec[],
  read: readonly TensorSpec[],
): readonly string[] {
  // Described in another way, by columns or a schema.
  if (said.length === 0 || read.length === 0) return [];
  const problems: string[] = [];
  for (const tensor of said) {
    const found = read.find(({ name }) => name === tensor.name);
    if (found === undefined) {
      const names = read.map(({ name }) => name).join(', ');
      problems.push(`${side} ${tensor.name} is said to be there, and the files have ${names}`);
    } else if (!canBeOne(tensor, found)) {
      const [one, other] = [spelled(tensor), spelled(found)];
      problems.push(`${side} ${tensor.name} is said to be ${one}, and is ${other} in the files`);
    }
  }
  if (side === 'output') return problems;
  const missing = read.filter(({ name }) => !said.some((each) => each.name === name));
  return [...problems, ...missing.map(({ name }) => `input ${name} of the files is left out`)];
}

function canBeOne(one: TensorSpec, other: TensorSpec): boolean {
  if (one.datatype !== other.datatype) return false;
  if (one.unranked === true || other.unranked === true) return true;
  if (one.shape.length !== other.shape.length) return false;
  return one.shape.every(
    (size, i) => size === -1 || other.shape[i] === -1 || size === other.shape[i],
  );
}

function spelled({ datatype, shape, unranked }: TensorSpec): string {
  return `${datatype}[${unranked === true ? '…' : shape.join(', ')}]`;
}
