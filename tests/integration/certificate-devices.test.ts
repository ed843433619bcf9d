import { afterAll, beforeAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { createCertificateDevices } from "../../edge/store/certificate-devices.ts";
import { createDeviceRegistry } from "../../edge/store/device-directory.ts";
import { openSite } from "../../edge/store/site-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { findEntityByName } from "../../shared/store/entity-store.ts";
import { saveProfile } from "../../shared/store/profile-save.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import { FORGED_PUMP, FORGED_VALVE, LOCALHOST, PUMP, PUMPS_CA, VALVE, VALVES_CA } from "../support/certificates.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock: systemClock, random: systemRandom };
const CERTIFICATE = chainOf(PUMP.cert);
const STRANGERS = [FORGED_PUMP, LOCALHOST.cert].map(chainOf);
let postgres: TestPostgres;
let database: TestDatabase;
let tenantId: Uuid;
let profileId: Uuid | undefined;

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("edge");
  ({ tenantId } = await openSite(database.db));
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** As TLS hands it over. */
function chainOf(pems: string): string[] {
  const parts = pems.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g) ?? [];
  return parts.map((pem) => new X509Certificate(pem).raw.toString("base64"));
}

const run = <T>(work: (tx: Queryable) => Promise<Outcome<T>>): Promise<T> =>
  database.db.transaction(async (tx) => (await work(tx)).result);
const find = (certificate: readonly string[], clock = systemClock) =>
  createCertificateDevices({ ...deps, clock, db: database.db, groupCommit: { run } }).findByCertificate(certificate);

async function configure(configuration: object): Promise<void> {
  const type = "X509_CERTIFICATE_CHAIN";
  const provisionConfiguration = { type, provisionDeviceSecret: PUMPS_CA, ...configuration };
  const input = {
    ...deviceProfileForm.input.parse({ name: "Pumps", provisionType: type, profileData: { provisionConfiguration } }),
    ...(profileId === undefined ? {} : { id: profileId }),
  };
  profileId = (await run((tx) => saveProfile(tx, deps, { form: deviceProfileForm, tenantId, input }))).id;
}

test("findByCertificate() makes a device of a certificate that a profile has signed, and of no other", async () => {
  expect(await find(CERTIFICATE)).toBeNull();
  await configure({ allowCreateNewDevicesByX509Certificate: false });
  expect(await find(CERTIFICATE)).toBeNull();
  await configure({ certificateRegExPattern: "^(.*)\\.site$" });
  await configure({});
  for (const stranger of STRANGERS) expect(await find(stranger)).toBeNull();
  await configure({ certificateRegExPattern: "^(.*)\\.site$" });
  expect(await find(CERTIFICATE, { ...systemClock, nowMs: () => Date.UTC(2200, 0) })).toBeNull();
  const made = await find(CERTIFICATE);
  expect(made).toMatchObject({ name: "pump-7", isGateway: false });
  const record = await findEntityByName(database.db, { type: "DEVICE", tenantId, name: "pump-7" });
  expect(record).toMatchObject({ id: made?.deviceId, profileId });
  expect(await createDeviceRegistry(database.db).findByCertificate(CERTIFICATE)).toEqual(made);
});

test("findByCertificate() takes a device that is known by its name, and makes none by a pattern that does not fit", async () => {
  await configure({ certificateRegExPattern: "^(.*)\\.site$", allowCreateNewDevicesByX509Certificate: false });
  expect(await find(CERTIFICATE)).toMatchObject({ name: "pump-7" });
  for (const certificateRegExPattern of ["^other$", "("]) {
    await configure({ certificateRegExPattern });
    expect(await find(CERTIFICATE)).toBeNull();
  }
  await configure({ provisionDeviceSecret: "no certificate" });
  expect(await find(CERTIFICATE)).toBeNull();
});

test("findByCertificate() follows the authorities that a device shows up to the one of a profile", async () => {
  const shown = chainOf(VALVE.cert);
  await configure({ provisionDeviceSecret: VALVES_CA });
  // Without the authority between them nothing leads from the one to the other.
  expect(await find(shown.slice(0, 1))).toBeNull();
  expect(await find([...shown.slice(0, 1), ...CERTIFICATE])).toBeNull();
  expect(await find(chainOf(FORGED_VALVE))).toBeNull();
  expect(await find(shown)).toMatchObject({ name: "valve-3.site" });
  await configure({ provisionDeviceSecret: PUMPS_CA });
  expect(await find(shown)).toBeNull();
});
