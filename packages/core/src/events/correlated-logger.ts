import type { Logger } from '../contracts/ports.ts';
import { currentCorrelation } from './correlation.ts';

/** A logger whose lines carry the correlation that they are written under, beside what they say themselves. */
export function correlatedLogger(logger: Logger): Logger {
  return {
    debug: (fields, message) => logger.debug(withCorrelationId(fields), message),
    info: (fields, message) => logger.info(withCorrelationId(fields), message),
    warn: (fields, message) => logger.warn(withCorrelationId(fields), message),
    error: (fields, message) => logger.error(withCorrelationId(fields), message),
  };
}

function withCorrelationId(fields: object): object {
  const correlation = currentCorrelation();
  return correlation === undefined
    ? fields
    : { correlationId: correlation.correlationId, ...fields };
}
