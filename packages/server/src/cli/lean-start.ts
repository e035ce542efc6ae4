import { enableCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';

/**
 * Loads and starts a program that will rest for most of its life in little memory: what only its start needs makes V8's
 * space for young objects grow to 32 MB, which it keeps for good; so it stays small until `start` resolves, and grows
 * later where work asks for it. What is compiled is kept for the next start (`NODE_COMPILE_CACHE`, else the system's
 * temporary directory). For the process's own program, never for a library: both hold for the whole process.
 */
export async function leanStart<T>(start: () => Promise<T>): Promise<T> {
  enableCompileCache();
  setFlagsFromString('--semi-space-growth-factor=1');
  try {
    return await start();
  } finally {
    setFlagsFromString('--semi-space-growth-factor=2');
  }
}
