/** The value of one series of a `/metrics` page, 0 when it was never counted. @example await readMetric(url, 'name{label="x"}') */
export async function readMetric(http: string, series: string): Promise<number> {
  const text = await (await fetch(`${http}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length));
}
