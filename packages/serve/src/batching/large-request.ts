import type { Tensor } from '@keelson/core';
import type { JobAnswer } from '../replicas/job.ts';
import { assertRowCount, joinRows, sliceRows } from './batch-rows.ts';

/**
 * Runs a request with more rows than a call may have as several calls, side by side where replicas are free, and puts
 * their outputs together again. Rejects with what the first of them rejects with; the others are not begun then.
 */
export async function predictInParts(
  inputs: readonly Tensor[],
  rowCount: number,
  maxRows: number,
  isGone: () => boolean,
  predict: (inputs: Tensor[], rows: number, isGone: () => boolean) => Promise<JobAnswer>,
): Promise<JobAnswer> {
  let failed = false;
  const isOver = (): boolean => failed || isGone();
  const parts: Promise<JobAnswer>[] = [];
  for (let from = 0; from < rowCount; from += maxRows) {
    const to = Math.min(rowCount, from + maxRows);
    parts.push(predict(sliceRows(inputs, from, to), to - from, isOver));
  }
  try {
    return joinAnswers(await Promise.all(parts), rowCount, maxRows);
  } catch (error) {
    failed = true;
    await Promise.allSettled(parts);
    throw error;
  }
}

function joinAnswers(answers: readonly JobAnswer[], rowCount: number, maxRows: number): JobAnswer {
  const last = answers.at(-1) as JobAnswer;
  answers.forEach(({ outputs }, i) => {
    assertRowCount(outputs, Math.min(maxRows, rowCount - i * maxRows));
  });
  return {
    outputs: joinRows(
      answers.map(({ outputs }) => outputs),
      rowCount,
    ),
    replica: last.replica,
    queueMs: Math.max(...answers.map(({ queueMs }) => queueMs)),
    inferenceMs: answers.reduce((sum, { inferenceMs }) => sum + inferenceMs, 0),
    attempts: Math.max(...answers.map(({ attempts }) => attempts)),
    batchRows: Math.max(...answers.map(({ batchRows }) => batchRows)),
  };
}
