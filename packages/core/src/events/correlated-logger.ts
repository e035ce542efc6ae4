import type { Logger } from '../contracts/ports.ts';
import { isKeelsonError } from '../errors.ts';
import { redact, redactText } from '../redaction.ts';
import { currentCorrelation } from './correlation.ts';

/**
 * A logger whose lines carry the correlation that they are written under, beside what they say themselves,
 * and the code of their error (`errorCode`); secrets are left out of fields and messages.
 */
export function correlatedLogger(logger: Logger): Logger {
  return {
    debug: (fields, message) => logger.debug(complete(fields), redactText(message)),
    info: (fields, message) => logger.info(complete(fields), redactText(message)),
    warn: (fields, message) => logger.warn(complete(fields), redactText(message)),
    error: (fields, message) => logger.error(complete(fields), redactText(message)),
  };
}

function complete(fields: object): object {
  const correlation = currentCorrelation();
  const said = redact(fields);
  const { error } = said as { readonly error?: unknown };
  return {
    ...(correlation === undefined ? {} : { correlationId: correlation.correlationId }),
    ...(error === undefined ? {} : ofError(error)),
    ...said,
  };
}

/** The code; and errors that have no JSON of their own also as `err`, where loggers such as pino look for them. */
function ofError(error: unknown): object {
  if (isKeelsonError(error)) return { errorCode: error.code };
  if (!(error instanceof Error)) return {};
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? { errorCode: code, err: error } : { err: error };
}
