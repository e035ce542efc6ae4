import type { WireEvent } from '../../api/answers.ts';
import { to } from '../../routing/address.ts';

/** The page of what an event is about, where there is one. */
export function subjectLink({
  subject,
  payload,
}: Pick<WireEvent, 'subject' | 'payload'>): string | undefined {
  const [, kind = '', id = ''] = /^([\w-]+):(.*)$/s.exec(subject) ?? [];
  const pipeline = payload['pipeline'];
  const executionId = payload['executionId'];
  if (typeof pipeline === 'string' && typeof executionId === 'string') {
    const step = payload['step'];
    return to('pipelines', pipeline, executionId, typeof step === 'string' ? { step } : {});
  }
  if (kind === 'run') return to('run', id);
  if (kind === 'model') return to('models', id);
  const deployment = payload['deployment'];
  if (kind === 'deployment')
    return to('deployments', typeof deployment === 'string' ? deployment : id);
  return kind === 'component' ? to('system') : undefined;
}
