/** So many questions wait for a store at once. */
const atOnce = 8;

/** What `work` answers for each item, in their order; eight are under way at once. */
export async function inOrder<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const answers: R[] = [];
  for (let i = 0; i < items.length; i += atOnce) {
    answers.push(...(await Promise.all(items.slice(i, i + atOnce).map(work))));
  }
  return answers;
}
