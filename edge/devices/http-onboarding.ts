import { readClaim } from "./claim-messages.ts";
import { PAYLOAD_BYTES_MAX } from "./device-session.ts";
import { type DeviceHttpDeps, type DeviceRoutes, emptyAnswer, jsonAnswer } from "./http-routes.ts";
import { provisionAnswerText, readProvisionRequest } from "./provision-messages.ts";

/** Devices make themselves known, and ask to be claimed. */
export function addOnboardingRoutes({ api, readBody, withDevice }: DeviceRoutes, deps: DeviceHttpDeps): void {
  // Whether it was done or not is in the answer: 200.
  api.post("/provision", async (context) => {
    const request = readProvisionRequest(await readBody(context.req.raw, PAYLOAD_BYTES_MAX));
    return jsonAnswer(provisionAnswerText(await deps.provisioning.provision(request)));
  });
  api.post("/:token/claim", (context) =>
    withDevice(context, async (device) => {
      await deps.data.openClaim(device.deviceId, readClaim(await readBody(context.req.raw, PAYLOAD_BYTES_MAX)));
      return emptyAnswer(200);
    }),
  );
}
