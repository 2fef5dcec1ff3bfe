/**
 * Results of jobs in their order, each begun while those before it are still in use.
 *
 * @param depth jobs begun beyond the one that is in use
 * @throws what a job throws, in its turn; those begun after it end unseen
 */
export async function* ahead<Result>(
  jobs: AsyncIterable<() => Promise<Result>> | Iterable<() => Promise<Result>>,
  depth: number,
): AsyncGenerator<Result> {
  const begun: Promise<Result>[] = [];
  try {
    for await (const job of jobs) {
      const result = job();
      result.catch(() => undefined); // told in its turn
      begun.push(result);
      if (begun.length > depth) yield await begun.shift()!;
    }
    while (begun.length > 0) yield await begun.shift()!;
  } finally {
    await Promise.allSettled(begun);
  }
}
