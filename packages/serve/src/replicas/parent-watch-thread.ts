import { Socket } from 'node:net';
import { workerData } from 'node:worker_threads';
import { FileWords, noteMemory } from './replica-words.ts';

// Beside the model of a replica's process: ends the process when its parent is gone, whatever the model does, and
// notes its memory.

/** For the model's own thread to end by itself. */
const graceMs = 1000;
const noteMs = 500;

const { parent, words } = workerData as { readonly parent: number; readonly words: number };
const notes = new FileWords(words);

setInterval(() => noteMemory(notes), noteMs);
new Socket({ fd: parent, readable: true, writable: false })
  .on('error', () => undefined)
  .on('close', () => {
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs);
  })
  .resume();
