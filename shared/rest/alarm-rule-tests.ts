import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Json } from "../entities/entity-record.ts";
import { idInput } from "../entities/fields.ts";
import { getEntity } from "../store/entity-store.ts";
import type { ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, type RouteTable } from "./route.ts";

/** Of one process. */
const TESTS_AT_ONCE_MAX = 2;

const testInput = z
  .object({
    deviceId: idInput,
    startTs: z.int().min(0),
    endTs: z.int().min(0),
    alarms: z
      .array(z.unknown())
      .nullish()
      .meta({ description: "Rules to try instead of those of the profile, which stay as they are" }),
  })
  .meta({ id: "AlarmRuleTestInput" });

/** Which alarms rules would have raised by recorded telemetry; for the cloud, which has the history of all its devices. */
export function addAlarmRuleTestRoute(routes: RouteTable, deps: ResourceDeps): void {
  let running = 0;
  routes.add(
    {
      method: "post",
      path: "/api/deviceProfile/{deviceProfileId}/test",
      tag: "Device profiles",
      summary:
        "Which alarms the rules of the profile, or those given, would have raised and cleared by the telemetry of a device in a range of time; nothing is stored",
      access: TENANT_ADMIN,
      body: testInput,
      answer: z.object({
        lines: z.array(z.looseObject({ ts: z.int(), kind: z.string() })),
        cut: z.string().nullable().meta({ description: "Why not all of the range was looked at" }),
      }),
    },
    async (call) => {
      const { alarms, deviceId, startTs: startMs, endTs: endMs } = call.body;
      const { tenantId } = call.principal;
      const profile = await getEntity(deps.db, {
        type: "DEVICE_PROFILE",
        id: call.uuid("deviceProfileId"),
        tenantId,
      });
      const device = await getEntity(deps.db, { type: "DEVICE", id: deviceId, tenantId });
      const profileData =
        (alarms ?? null) === null ? profile.body["profileData"] : withAlarms(profile.body["profileData"], alarms);
      if ((alarms ?? null) !== null) await (await import("./alarm-rules.ts")).checkAlarmRules({ profileData });
      if (running >= TESTS_AT_ONCE_MAX) {
        throw new AppError("TOO_MANY_REQUESTS", `At most ${TESTS_AT_ONCE_MAX} tests of alarm rules run at once`);
      }
      running += 1;
      try {
        const { testAlarmRules } = await import("./alarm-rule-engine.ts");
        return await testAlarmRules(deps, { profileData, device, startMs, endMs });
      } finally {
        running -= 1;
      }
    },
  );
}

function withAlarms(profileData: Json | undefined, alarms: unknown): object {
  return Object.assign({}, profileData, { alarms });
}
