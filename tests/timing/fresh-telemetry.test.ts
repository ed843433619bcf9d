import { expect, test } from "bun:test";
import { quantile } from "../bench/measure.ts";
import {
  backlogOf,
  breakLink,
  expectAllThere,
  measureLag,
  mendLink,
  MODEST_LINK,
  publishBacklog,
  startFlowSite,
} from "../support/flow-site.ts";
import { withTestBed } from "../support/test-bed.ts";

test("fresh telemetry is in the cloud within a second while a backlog of 100,000 messages drains", async () => {
  await withTestBed(async (bed) => {
    const site = await startFlowSite(bed, { cloud: await bed.startCloud() });
    await breakLink(site);
    await publishBacklog(site, 100_000);
    const mqtt = await bed.connectDevice(site.edge, site.fresh.token);
    await mendLink(site, MODEST_LINK);
    const lags: number[] = [];
    let left = await backlogOf(site);
    expect(left).toBe(100_000);
    // The last fresh one may be in the cloud already and still wait for its ack.
    while (left > 1) {
      lags.push(await measureLag(site, mqtt, lags.length));
      left = await backlogOf(site);
    }
    expect(lags.length).toBeGreaterThan(3);
    expect(quantile(lags, 0.99)).toBeLessThan(1_000);
    await expectAllThere(site, 100_000);
  });
});
