import type { Scope } from '../../contracts/scope.ts';
import type { ModelVersion } from '../model-version.ts';
import { type ModelCard, missingFields } from './card.ts';

/** What a policy may ask of a card. */
export interface CardCheck {
  readonly check: 'card';
  /** Fields that must be filled: `team`, `purpose`, `custom.region`. */
  readonly fields: readonly string[];
}

/** Whether the version's card fills the fields. */
export async function checkCard(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  version: Pick<ModelVersion, 'id'>,
  { fields }: CardCheck,
): Promise<{ readonly name: string; readonly passed: boolean; readonly detail: string }> {
  const name = 'card';
  const record = await scope.metadata.find(scope.workspace, 'model_card', version.id);
  if (record === undefined) {
    const detail = `the version has no card; registry.setCard() must fill ${fields.join(', ')}`;
    return { name, passed: false, detail };
  }
  const missing = missingFields(record.body as ModelCard, fields);
  return missing.length === 0
    ? { name, passed: true, detail: `${fields.join(', ')} filled` }
    : { name, passed: false, detail: `the card lacks ${missing.join(', ')}` };
}
