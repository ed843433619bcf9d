import * as z from "zod";
import { createAttemptLimiter } from "../core/attempt-limiter.ts";
import { AppError } from "../core/errors.ts";
import { deviceSchema, deviceToRest } from "../entities/device.ts";
import { claimDevice, giveDeviceBack } from "../store/device-claim-store.ts";
import { deviceResource } from "./devices.ts";
import { visibleTo, type ResourceDeps } from "./resource.ts";
import { parseJson, TENANT_ROLES, validate, type RouteTable } from "./route.ts";

const PATH = "/api/customer/device/{deviceName}/claim";
const { tag } = deviceResource;
const claimInput = z.object({ secretKey: z.string().max(255).nullish() });

/**
 * Users of customers take devices that they have in hands, and give them back.
 *
 * @param isReported on an edge: the cloud is to do the same
 */
export function addDeviceClaimRoutes(
  routes: RouteTable,
  deps: ResourceDeps,
  { isReported }: { readonly isReported: boolean },
): void {
  const { clock, unitOfWork } = deps;
  // Per customer: who guesses keeps nobody else from claiming.
  const guesses = createAttemptLimiter(clock, "to claim this device");
  routes.add(
    {
      method: "post",
      path: PATH,
      tag,
      summary: "Claim a device that asked for it, by its secret",
      access: ["CUSTOMER_USER"],
      textBody: '{"secretKey":"s"}',
      answer: z.object({ device: deviceSchema, response: z.literal("SUCCESS") }),
    },
    async (call) => {
      const { customerId, tenantId } = call.principal;
      if (customerId === null) throw new AppError("PERMISSION_DENIED", "The user is of no customer");
      const text = await call.text();
      const { secretKey } = text === "" ? {} : validate(claimInput, parseJson(text));
      const claim = { tenantId, customerId, name: call.param("deviceName"), secretKey: secretKey ?? "" };
      const guess = `${customerId} ${claim.name}`;
      guesses.check(guess);
      const outcome = await unitOfWork.run((tx) => claimDevice(tx, { ...claim, isReported, nowMs: clock.nowMs() }));
      if (outcome.response === "FAILURE") guesses.fail(guess);
      if (outcome.response !== "SUCCESS") return Response.json(outcome.response, { status: 400 });
      return { device: deviceToRest(outcome.device), response: outcome.response };
    },
  );
  routes.add(
    { method: "delete", path: PATH, tag, summary: "Give a device back that was claimed", access: TENANT_ROLES },
    async (call) => {
      const { customerId = null, tenantId } = visibleTo(call.principal);
      const device = { tenantId, customerId, name: call.param("deviceName") };
      await unitOfWork.run((tx) => giveDeviceBack(tx, { ...device, isReported, nowMs: clock.nowMs() }));
    },
  );
}
