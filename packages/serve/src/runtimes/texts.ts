import { ModelFault } from './model-fault.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The elements of a BYTES input as texts. ModelFault (INVALID) for bytes that are no UTF-8. */
export function asTexts(data: readonly (string | Uint8Array)[], name: string): string[] {
  return data.map((element, i) => {
    if (typeof element === 'string') return element;
    try {
      return utf8.decode(element);
    } catch (cause) {
      throw new ModelFault(
        'INVALID',
        `Element ${i} of input "${name}" is no UTF-8 text, and the model takes texts.`,
        {
          cause,
        },
      );
    }
  });
}
