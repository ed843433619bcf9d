import { deviceResource } from "../../shared/rest/devices.ts";
import { showOne } from "../../shared/rest/entity-resource.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { findUser } from "../../shared/store/user-store.ts";
import { moveDevice } from "../store/device-move.ts";

/** Devices that go to another tenant. */
export function addDeviceMoveRoute(routes: RouteTable, deps: ResourceDeps): void {
  const { db, unitOfWork } = deps;
  const { tag, whole } = deviceResource;
  routes.add(
    {
      method: "post",
      path: "/api/tenant/{tenantId}/device/{deviceId}",
      tag,
      summary: "Give a device to another tenant, with its credentials, attributes and telemetry",
      access: TENANT_ADMIN,
      answer: whole.schema,
    },
    async (call) => {
      const { tenantId, userId } = call.principal;
      const userName = (await findUser(db, userId))?.email ?? "";
      const move = { id: call.uuid("deviceId"), newTenantId: call.uuid("tenantId"), tenantId, userId, userName };
      return showOne(db, whole, await unitOfWork.run((tx) => moveDevice(tx, deps, move)));
    },
  );
}
