import { z } from 'zod';
import { count, defineEvent, type EventDefinition, text, texts } from './define-event.ts';

/** A model has a version more. */
export interface ModelRegistered {
  readonly modelId: string;
  /** The model. */
  readonly name: string;
  readonly versionId: string;
  /** The semantic version, such as `1.2.0`. */
  readonly version: string;
  /** 1, 2, 3 … within the model. */
  readonly number: number;
  /** The digest of its content. */
  readonly sha256: string;
  /** The run that it comes from. */
  readonly runId?: string;
}

/** A model has come in from an archive, with everything that is its own. */
export interface ModelImported {
  readonly modelId: string;
  /** The model. */
  readonly name: string;
  /** How many versions it has, deleted ones too. */
  readonly versions: number;
}

/** A version has moved to another stage. */
export interface ModelPromoted {
  /** The model. */
  readonly name: string;
  readonly versionId: string;
  readonly version: string;
  readonly oldStage: string;
  readonly newStage: string;
  readonly transitionId: string;
  /** Who approved it. */
  readonly approvals: readonly string[];
  /** The version that left production for it. */
  readonly supersededVersionId?: string;
  /** By an emergency rollback: two of these, under one correlation. */
  readonly emergency?: boolean;
}

/** Somebody has asked for a change of stage. */
export interface PromotionRequested {
  /** The model. */
  readonly name: string;
  readonly transitionId: string;
  readonly versionId: string;
  readonly from: string;
  readonly to: string;
  /** What came of it at once: `PENDING` waits for approvals, `APPLYING` for its effects. */
  readonly status: 'PENDING' | 'APPLYING' | 'DONE' | 'FAILED';
}

/** A change of stage was refused, by a check or a person. */
export interface PromotionRejected {
  /** The model. */
  readonly name: string;
  readonly transitionId: string;
  readonly versionId: string;
  readonly from: string;
  readonly to: string;
  /** What the checks found, or what the person wrote. */
  readonly reasons: readonly string[];
}

/** Who asked for a change of stage has taken the request back. */
export interface PromotionWithdrawn {
  /** The model. */
  readonly name: string;
  readonly transitionId: string;
  readonly versionId: string;
  readonly from: string;
  readonly to: string;
  readonly reason?: string;
}

/** A request for a change of stage found too few approvals in its time. */
export interface PromotionExpired {
  /** The model. */
  readonly name: string;
  readonly transitionId: string;
  readonly versionId: string;
  readonly from: string;
  readonly to: string;
}

/** A validation suite was run on a version. */
export interface ModelValidated {
  /** The model. */
  readonly name: string;
  readonly versionId: string;
  readonly version: string;
  readonly suite: string;
  readonly outcome: 'PASSED' | 'FAILED';
  readonly reportId: string;
  /** The content of the report. */
  readonly sha256: string;
  /** The names of the tests that failed. */
  readonly failed: readonly string[];
}

/** A version's content was found damaged: it cannot be used until it is whole again. */
export interface ModelDamaged {
  /** The model. */
  readonly name: string;
  readonly versionId: string;
  readonly version: string;
  /** The files that are not what was registered, as far as they were looked at. */
  readonly files: readonly string[];
  readonly reason: string;
}

/** Somebody has vouched for a version with a key of the platform. */
export interface ModelSigned {
  /** The model. */
  readonly name: string;
  readonly versionId: string;
  readonly version: string;
  readonly keyId: string;
  /** Ed25519, 32 bytes in base64. */
  readonly publicKey: string;
}

/** A version that was found damaged is whole again. */
export interface ModelHealed {
  /** The model. */
  readonly name: string;
  readonly versionId: string;
  readonly version: string;
}

/** A version should no longer be used. */
export interface ModelDeprecated {
  /** The model. */
  readonly name: string;
  readonly versionId: string;
  readonly version: string;
  readonly reason: string;
  readonly replacementVersionId?: string;
}

/** A version, or a whole model, was removed. */
export interface ModelDeleted {
  /** The model. */
  readonly name: string;
  /** Missing where the whole model went. */
  readonly version?: string;
  readonly reason: string;
  /** It was used, or had descendants, and whoever deleted it knew. */
  readonly forced?: boolean;
}

/** A version, or a whole model, that was deleted is there again. */
export interface ModelRestored {
  /** The model. */
  readonly name: string;
  /** Missing where the whole model came back. */
  readonly version?: string;
}

/** An alias names another version. */
export interface AliasMoved {
  /** The model. */
  readonly name: string;
  readonly alias: string;
  /** Missing where the alias is new. */
  readonly oldVersionId?: string;
  /** Missing where the alias is gone. */
  readonly newVersionId?: string;
}

/** An automation has left a run alone. */
export interface AutomationDeclined {
  /** The model. */
  readonly name: string;
  readonly automation: string;
  readonly runId: string;
  /** Which criteria it does not meet, or why nothing is taken now. */
  readonly reasons: readonly string[];
}

/** An automation has registered a run, and done with the version what it was to do. */
export interface AutomationCompleted {
  /** The model. */
  readonly name: string;
  readonly automation: string;
  readonly runId: string;
  readonly versionId: string;
  /** Of the request for Staging; left out where none was to be made. */
  readonly transitionId?: string;
  /** What came of that request, such as `DONE`, or `PENDING` where the policy asks people. */
  readonly transition?: string;
}

/** An automation has taken a run, and could not go on with it. */
export interface AutomationFailed {
  /** The model. */
  readonly name: string;
  readonly automation: string;
  readonly runId: string;
  readonly reason: string;
}

/** The events of the registry. */
export interface RegistryEventPayloads {
  readonly 'automation.declined': AutomationDeclined;
  readonly 'automation.completed': AutomationCompleted;
  readonly 'automation.failed': AutomationFailed;
  readonly 'model.registered': ModelRegistered;
  readonly 'model.imported': ModelImported;
  readonly 'model.promoted': ModelPromoted;
  readonly 'promotion.requested': PromotionRequested;
  readonly 'promotion.rejected': PromotionRejected;
  readonly 'promotion.withdrawn': PromotionWithdrawn;
  readonly 'promotion.expired': PromotionExpired;
  readonly 'model.validated': ModelValidated;
  readonly 'model.damaged': ModelDamaged;
  readonly 'model.healed': ModelHealed;
  readonly 'model.signed': ModelSigned;
  readonly 'model.deprecated': ModelDeprecated;
  readonly 'model.deleted': ModelDeleted;
  readonly 'model.restored': ModelRestored;
  readonly 'alias.moved': AliasMoved;
}

const modelId = '0198c0de-0000-7000-8000-000000000010';
const versionId = '0198c0de-0000-7000-8000-000000000011';
const formerVersionId = '0198c0de-0000-7000-8000-000000000012';
const transitionId = '0198c0de-0000-7000-8000-000000000013';
const ofModel = { source: 'registry', subject: 'model:{name}' } as const;

/** The definitions of the events of the registry. */
export const registryEvents: {
  readonly [T in keyof RegistryEventPayloads]: EventDefinition<RegistryEventPayloads[T]>;
} = {
  'model.registered': defineEvent<ModelRegistered>({
    ...ofModel,
    meaning: 'A model has a version more.',
    fields: {
      modelId: text,
      name: text,
      versionId: text,
      version: text,
      number: count,
      sha256: text,
      runId: text.optional(),
    },
    example: {
      modelId,
      name: 'fraud',
      versionId,
      version: '1.2.0',
      number: 3,
      sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      runId: '0198c0de-0000-7000-8000-000000000001',
    },
  }),
  'model.imported': defineEvent<ModelImported>({
    ...ofModel,
    meaning: 'A model has come in from an archive.',
    fields: { modelId: text, name: text, versions: count },
    example: { modelId, name: 'fraud', versions: 3 },
  }),
  'model.promoted': defineEvent<ModelPromoted>({
    ...ofModel,
    meaning: 'A version has moved to another stage.',
    fields: {
      name: text,
      versionId: text,
      version: text,
      oldStage: text,
      newStage: text,
      transitionId: text,
      approvals: texts,
      supersededVersionId: text.optional(),
      emergency: z.boolean().optional(),
    },
    example: {
      name: 'fraud',
      versionId,
      version: '1.2.0',
      oldStage: 'STAGING',
      newStage: 'PRODUCTION',
      transitionId,
      approvals: ['user:ana'],
      supersededVersionId: formerVersionId,
    },
  }),
  'promotion.requested': defineEvent<PromotionRequested>({
    ...ofModel,
    meaning: 'Somebody has asked for a change of stage.',
    fields: {
      name: text,
      transitionId: text,
      versionId: text,
      from: text,
      to: text,
      status: z.enum(['PENDING', 'APPLYING', 'DONE', 'FAILED']),
    },
    example: {
      name: 'fraud',
      transitionId,
      versionId,
      from: 'STAGING',
      to: 'PRODUCTION',
      status: 'PENDING',
    },
  }),
  'promotion.rejected': defineEvent<PromotionRejected>({
    ...ofModel,
    meaning: 'A change of stage was refused, by a check or a person.',
    fields: {
      name: text,
      transitionId: text,
      versionId: text,
      from: text,
      to: text,
      reasons: texts,
    },
    example: {
      name: 'fraud',
      transitionId,
      versionId,
      from: 'STAGING',
      to: 'PRODUCTION',
      reasons: ['accuracy: 0.81 is below 0.9'],
    },
  }),
  'promotion.withdrawn': defineEvent<PromotionWithdrawn>({
    ...ofModel,
    meaning: 'Who asked for a change of stage has taken the request back.',
    fields: {
      ...{ name: text, transitionId: text, versionId: text, from: text, to: text },
      reason: text.optional(),
    },
    example: {
      name: 'fraud',
      transitionId,
      versionId,
      from: 'STAGING',
      to: 'PRODUCTION',
      reason: 'a better one is on its way',
    },
  }),
  'promotion.expired': defineEvent<PromotionExpired>({
    ...ofModel,
    meaning: 'A request for a change of stage found too few approvals in its time.',
    fields: { name: text, transitionId: text, versionId: text, from: text, to: text },
    example: { name: 'fraud', transitionId, versionId, from: 'STAGING', to: 'PRODUCTION' },
  }),
  'model.validated': defineEvent<ModelValidated>({
    ...ofModel,
    meaning: 'A validation suite was run on a version.',
    fields: {
      name: text,
      versionId: text,
      version: text,
      suite: text,
      outcome: z.enum(['PASSED', 'FAILED']),
      reportId: text,
      sha256: text,
      failed: texts,
    },
    example: {
      name: 'fraud',
      versionId,
      version: '1.2.0',
      suite: 'golden',
      outcome: 'FAILED',
      reportId: '0198c0de-0000-7000-8000-000000000014',
      sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      failed: ['latency'],
    },
  }),
  'model.damaged': defineEvent<ModelDamaged>({
    ...ofModel,
    meaning:
      'The content of a version was found damaged; it cannot be used until it is whole again.',
    fields: { name: text, versionId: text, version: text, files: texts, reason: text },
    example: {
      name: 'fraud',
      versionId,
      version: '1.2.0',
      files: ['model.onnx'],
      reason: 'model.onnx: the content is damaged between byte 0 and 1048576',
    },
  }),
  'model.healed': defineEvent<ModelHealed>({
    ...ofModel,
    meaning: 'A version that was found damaged is whole again.',
    fields: { name: text, versionId: text, version: text },
    example: { name: 'fraud', versionId, version: '1.2.0' },
  }),
  'model.signed': defineEvent<ModelSigned>({
    ...ofModel,
    meaning: 'Somebody has vouched for a version with a key of the platform.',
    fields: { name: text, versionId: text, version: text, keyId: text, publicKey: text },
    example: {
      name: 'fraud',
      versionId,
      version: '1.2.0',
      keyId: '2026-11',
      publicKey: '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
    },
  }),
  'model.deprecated': defineEvent<ModelDeprecated>({
    ...ofModel,
    meaning: 'A version should no longer be used.',
    fields: {
      name: text,
      versionId: text,
      version: text,
      reason: text,
      replacementVersionId: text.optional(),
    },
    example: {
      name: 'fraud',
      versionId: formerVersionId,
      version: '1.1.0',
      reason: 'trained on faulty labels',
      replacementVersionId: versionId,
    },
  }),
  'model.deleted': defineEvent<ModelDeleted>({
    ...ofModel,
    meaning: 'A version, or a whole model, was removed.',
    fields: { name: text, version: text.optional(), reason: text, forced: z.boolean().optional() },
    example: { name: 'fraud', version: '1.1.0', reason: 'asked for by its owner' },
  }),
  'model.restored': defineEvent<ModelRestored>({
    ...ofModel,
    meaning: 'A version, or a whole model, that was deleted is there again.',
    fields: { name: text, version: text.optional() },
    example: { name: 'fraud', version: '1.1.0' },
  }),
  'alias.moved': defineEvent<AliasMoved>({
    ...ofModel,
    meaning: 'An alias names another version, or none.',
    fields: {
      name: text,
      alias: text,
      oldVersionId: text.optional(),
      newVersionId: text.optional(),
    },
    example: {
      name: 'fraud',
      alias: 'champion',
      oldVersionId: formerVersionId,
      newVersionId: versionId,
    },
  }),
  'automation.declined': defineEvent<AutomationDeclined>({
    ...ofModel,
    meaning: 'An automation has left a run alone.',
    fields: { name: text, automation: text, runId: text, reasons: texts },
    example: {
      ...{ name: 'fraud', automation: 'nightly' },
      runId: '0198c0de-0000-7000-8000-000000000001',
      reasons: ['accuracy: 0.81 is below 0.9'],
    },
  }),
  'automation.completed': defineEvent<AutomationCompleted>({
    ...ofModel,
    meaning: 'An automation has registered a run, and done with the version what it was to do.',
    fields: {
      ...{ name: text, automation: text, runId: text, versionId: text },
      ...{ transitionId: text.optional(), transition: text.optional() },
    },
    example: {
      ...{ name: 'fraud', automation: 'nightly' },
      ...{ runId: '0198c0de-0000-7000-8000-000000000001', versionId },
      ...{ transitionId, transition: 'DONE' },
    },
  }),
  'automation.failed': defineEvent<AutomationFailed>({
    ...ofModel,
    meaning: 'An automation has taken a run, and could not go on with it.',
    fields: { name: text, automation: text, runId: text, reason: text },
    example: {
      ...{ name: 'fraud', automation: 'nightly' },
      runId: '0198c0de-0000-7000-8000-000000000001',
      reason: 'The pipeline validate has FAILED.',
    },
  }),
};
