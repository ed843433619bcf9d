import { type DeviceHttpDeps, type DeviceRoutes, emptyAnswer } from "./http-routes.ts";
import { findPackagePart, type PackagePart } from "./package-part.ts";

const PATHS = { firmware: "FIRMWARE", software: "SOFTWARE" } as const;
/** What lies in memory of an answer at once. */
const READ_BYTES = 64 * 1024;

/** Devices load their firmware and software. */
export function addPackageRoutes({ api, withDevice }: DeviceRoutes, { packages }: DeviceHttpDeps): void {
  for (const [path, type] of Object.entries(PATHS)) {
    api.get(`/:token/${path}`, (context) =>
      withDevice(context, async (device) => {
        const part = await findPackagePart(packages, device, { type, query: context.req.query() });
        return part.bytes === 0 ? emptyAnswer(200) : packageAnswer(part);
      }),
    );
  }
}

function packageAnswer({ found, offset, bytes }: PackagePart): Response {
  const end = offset + bytes;
  let at = offset;
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const read = await found.read(at, Math.min(READ_BYTES, end - at));
        at += read.length;
        controller.enqueue(read);
        if (at >= end) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const name = encodeURIComponent(found.fileName);
  return new Response(body, {
    headers: {
      "content-type": found.contentType,
      "content-length": String(bytes),
      "content-disposition": `attachment;filename=${name}`,
      "x-filename": name,
    },
  });
}
