import { enableCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';

/**
 * Has a program that will rest for most of its life begin in little memory: what only its start needs would make V8's
 * space for young objects grow to 32 MB, which it keeps for good, so it stays small until `endLean`. What is compiled is
 * kept for the next start (`NODE_COMPILE_CACHE`, else the system's temporary directory). For a process's own program,
 * never for a library: it holds for the whole process. Load what is heavy afterwards.
 */
export function beginLean(): void {
  enableCompileCache();
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** The start is over: memory grows where work asks for it. */
export function endLean(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
}
