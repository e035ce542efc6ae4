import { storableText } from '../../json.ts';

/**
 * What makes a test fail: the model, or data that does not fit it, rather than the platform. Its message can be
 * kept, whatever the model has said.
 */
export class TestFault extends Error {
  override readonly name = 'TestFault';

  constructor(message: string, options?: ErrorOptions) {
    super(storableText(message, 2_000), options);
  }
}

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof Error && error.message !== '') return error.message;
  try {
    return String(error);
  } catch {
    return 'something that cannot be shown';
  }
}
