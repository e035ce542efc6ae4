import type { Scope } from '../../contracts/scope.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import { watchedName } from './watched-id.ts';

/** The functions of which calls were logged: under their id, which is their name as a deployment, too. */
export async function watchedFunctions({
  series,
  workspace,
}: Pick<Scope, 'series' | 'workspace'>): Promise<
  readonly { readonly id: string; readonly name: string }[]
> {
  const predictions = predictionStream(workspace, '').stream;
  const streams = await series.streams(workspace);
  return streams.flatMap(({ stream, owner }) =>
    stream === predictions && watchedName(owner) !== undefined ? [{ id: owner, name: owner }] : [],
  );
}
