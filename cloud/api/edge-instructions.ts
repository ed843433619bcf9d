import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { readEdgeStatuses } from "../store/edge-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

export interface EdgeInstructionDeps extends EdgeDeps {
  /** Where edges dial: what stands before and behind the host of the address. */
  readonly rpcAddress: () => { readonly protocol: "http:" | "https:"; readonly port: number };
  readonly version: string;
}

const tag = "Edges";
const METHODS = ["docker", "ubuntu", "centos"] as const;
type Method = (typeof METHODS)[number];

const instructionsSchema = z
  .object({ instructions: z.string().meta({ description: "Markdown" }) })
  .meta({ id: "EdgeInstructions" });

/** How a gateway is set up and brought up to date, with the values of the edge filled in. */
export function addEdgeInstructionRoutes(routes: RouteTable, deps: EdgeInstructionDeps): void {
  const { db, rpcAddress, version } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/edge/instructions/install/{edgeId}/{method}",
      tag,
      summary: "How to set up the gateway of an edge: docker, ubuntu or centos",
      access: TENANT_ADMIN,
      answer: instructionsSchema,
    },
    async (call) => {
      const { routingKey } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const { protocol, port } = rpcAddress();
      const cloudUrl = `${protocol}//${new URL(call.request.url).hostname}:${port}`;
      return { instructions: installText(readMethod(call.param("method")), { cloudUrl, routingKey }) };
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/edge/instructions/upgrade/{edgeVersion}/{method}",
      tag,
      summary: "How to bring a gateway to this version",
      access: TENANT_ADMIN,
      answer: instructionsSchema,
    },
    (call) => {
      const method = readMethod(call.param("method"));
      return Promise.resolve({ instructions: upgradeText(method, version) });
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/upgrade/available",
      tag,
      summary: "Whether the edge runs an older version than the cloud",
      access: TENANT_ADMIN,
      answer: z.boolean(),
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const edgeVersion = (await readEdgeStatuses(db, [id])).get(id)?.edgeVersion ?? null;
      return edgeVersion !== null && isOlder(edgeVersion, version);
    },
  );
}

/** @throws AppError INVALID_ARGUMENT */
function readMethod(text: string): Method {
  const method = METHODS.find((known) => known === text);
  if (method !== undefined) return method;
  throw new AppError(
    "INVALID_ARGUMENT",
    `Unsupported installation method '${text.slice(0, 32)}': docker, ubuntu, centos`,
    {
      field: "method",
    },
  );
}

interface InstallValues {
  readonly cloudUrl: string;
  readonly routingKey: string;
}

/** The secret is not kept, so it can't be filled in; a claim code needs none. */
function installText(method: Method, { cloudUrl, routingKey }: InstallValues): string {
  const plain = cloudUrl.startsWith("http:") ? " --insecure" : "";
  const settings = `--cloud-url ${cloudUrl} --edge-key ${routingKey}${plain}`;
  const begin = [
    "Copy the file `skerry-edge` for the machine's processor to the gateway. Nothing else has to be there.",
    "",
    "The secret of the edge was shown when it was made; `POST /api/edge/{edgeId}/secret` gives it another one. Without it: get a claim code by",
    `\`POST /api/edge/{edgeId}/claimCode\`, and run \`SKERRY_CLAIM_CODE=CODE skerry-edge enroll --cloud ${cloudUrl}${plain}\` instead of the command below.`,
    "",
  ];
  if (method === "docker") {
    return [
      ...begin,
      "```bash",
      "docker run -d --name skerry-edge --restart unless-stopped -p 1883:1883 -p 5683:5683/udp -p 8080:8080 \\",
      "  -v skerry-edge:/data -v $PWD/skerry-edge:/skerry-edge:ro -e SKERRY_EDGE_SECRET=SECRET \\",
      `  debian:stable-slim /skerry-edge --data-dir /data ${settings}`,
      "```",
    ].join("\n");
  }
  return [
    ...begin,
    "```bash",
    "sudo install -m 755 skerry-edge /usr/local/bin/skerry-edge",
    "sudo mkdir -p /etc/skerry && echo SECRET | sudo install -m 600 /dev/stdin /etc/skerry/secret",
    "sudo tee /etc/systemd/system/skerry-edge.service <<'UNIT'",
    "[Unit]",
    "After=network.target",
    "[Service]",
    `ExecStart=/usr/local/bin/skerry-edge --data-dir /var/lib/skerry-edge --secret-file /etc/skerry/secret ${settings}`,
    "Restart=always",
    "KillMode=mixed",
    "TimeoutStopSec=30",
    "[Install]",
    "WantedBy=multi-user.target",
    "UNIT",
    "sudo systemctl daemon-reload && sudo systemctl enable --now skerry-edge",
    "```",
  ].join("\n");
}

function upgradeText(method: Method, version: string): string {
  const restart =
    method === "docker"
      ? "docker restart skerry-edge"
      : "sudo install -m 755 skerry-edge /usr/local/bin/skerry-edge && sudo systemctl restart skerry-edge";
  return [
    `Replace the file \`skerry-edge\` by the one of version ${version} and start it again. What waits for the cloud is kept.`,
    "",
    "```bash",
    restart,
    "```",
  ].join("\n");
}

/** By the numbers of `major.minor.patch`; what has none is not older. */
export function isOlder(one: string, other: string): boolean {
  const [left, right] = [one, other].map((text) => text.split(".").map((part) => Number.parseInt(part, 10) || 0));
  for (let index = 0; index < 3; index += 1) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
