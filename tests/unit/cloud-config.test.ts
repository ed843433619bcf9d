import { describe, expect, test } from "bun:test";
import { CLOUD_SETTINGS, describeSettings, readCloudConfig } from "../../cloud/config.ts";
import { CLOUD_VERSION } from "../../cloud/version.ts";
import packageJson from "../../package.json" with { type: "json" };
import { AppError } from "../../shared/core/errors.ts";

const PEM = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
const files: Readonly<Record<string, string>> = { "cert.pem": PEM, "key.pem": PEM, "empty.pem": "" };

function read(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return readCloudConfig({
    argv,
    env,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error("ENOENT");
      return text;
    },
  });
}

function problemsOf(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string[] {
  try {
    read(argv, env);
  } catch (error) {
    if (error instanceof AppError && error.code === "CONFIG_INVALID")
      return error.message
        .split("\n")
        .slice(1)
        .map((line) => line.trim());
    throw error;
  }
  return [];
}

describe("readCloudConfig()", () => {
  test("keeps telemetry for ever, or for some days", () => {
    expect(read([]).telemetryKeptMs).toBeNull();
    expect(read(["--telemetry-days", "off"]).telemetryKeptMs).toBeNull();
    expect(read(["--telemetry-days", "30"]).telemetryKeptMs).toBe(30 * 86_400_000);
    expect(problemsOf(["--telemetry-days", "0"])[0]).toStartWith("telemetryDays (flag --telemetry-days)");
  });

  test("names every fault at once", () => {
    const problems = problemsOf(
      ["--http-port", "70000", "--nonsense", "--log-level=loud", "--tls-key-file", "key.pem", "--rpc-port"],
      {
        SKERRY_ADMIN_EMAIL: "nobody",
        SKERRY_ADMIN_PASSWORD: "short",
        SKERRY_CLOUD_INSECURE: "perhaps",
      },
    );
    for (const start of [
      "--nonsense is not a setting",
      "--rpc-port: expected a value",
      "httpPort (flag --http-port)",
      "logLevel (flag --log-level)",
      "--tls-cert-file and --tls-key-file belong together",
      "adminEmail (variable SKERRY_ADMIN_EMAIL)",
      "adminPassword (variable SKERRY_ADMIN_PASSWORD)",
      "insecure (variable",
    ]) {
      expect(problems.filter((problem) => problem.startsWith(start))).toHaveLength(1);
    }
    expect(problems.join("\n")).not.toContain("short,");
  });

  test("listens on loopback without TLS, unless told to be insecure", () => {
    expect(read([])).toMatchObject({
      http: { host: "127.0.0.1", port: 8080 },
      rpc: { host: "127.0.0.1", port: 7070 },
      tls: null,
    });
    expect(problemsOf(["--http-host", "0.0.0.0"])).toEqual([
      "httpHost is 0.0.0.0, which other machines can reach: set --tls-cert-file and --tls-key-file, or accept plain text with --insecure",
    ]);
    expect(read(["--http-host", "0.0.0.0", "--insecure"]).http.host).toBe("0.0.0.0");
    expect(problemsOf(["--rpc-host", "::1", "--http-host", "localhost"])).toEqual([]);
  });

  test("listens everywhere with TLS", () => {
    const config = read(["--tls-cert-file", "cert.pem", "--tls-key-file=key.pem"]);
    expect(config).toMatchObject({ http: { host: "0.0.0.0" }, rpc: { host: "0.0.0.0" }, tls: { cert: PEM, key: PEM } });
    expect(problemsOf(["--tls-cert-file", "none.pem", "--tls-key-file", "empty.pem"])).toEqual([
      "tlsCertFile (flag --tls-cert-file): file none.pem can't be read: ENOENT",
      "tlsKeyFile (flag --tls-key-file): expected PEM in file empty.pem, found none",
    ]);
  });

  test("takes a flag before a variable, and empty variables for none", () => {
    const env = { SKERRY_CLOUD_DATA_DIR: "/env", SKERRY_ADMIN_PASSWORD: "", DATABASE_URL: "postgres://u:p@h/d" };
    const config = read(["--data-dir", "/flag", "--http-port", "0", "--rpc-port", "0"], env);
    expect(config).toMatchObject({ dataDir: "/flag", adminPassword: null, http: { port: 0 }, rpc: { port: 0 } });
    expect(config.databaseUrl?.()).toBe("postgres://u:p@h/d");
    expect(JSON.stringify(config)).not.toContain("u:p");
    expect(problemsOf(["--http-port", "7070"])).toEqual([
      "httpPort and rpcPort are both 7070, expected different ports",
    ]);
  });

  test("has a help text with every flag and variable", () => {
    const help = describeSettings();
    for (const { flag, variable } of Object.values(CLOUD_SETTINGS)) {
      expect(help).toContain(`--${flag}`);
      expect(help).toContain(variable);
    }
  });
});

test("CLOUD_VERSION is the version of the package", () => {
  expect(CLOUD_VERSION).toBe(packageJson.version);
});
