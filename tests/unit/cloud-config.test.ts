import { describe, expect, test } from "bun:test";
import { describeSettings, readCloudConfig } from "../../cloud/config.ts";
import { CLOUD_FORM, CLOUD_SETTINGS } from "../../cloud/settings.ts";
import { CLOUD_VERSION } from "../../cloud/version.ts";
import packageJson from "../../package.json" with { type: "json" };
import { flagOf, variableOf } from "../../shared/config/setting.ts";
import { AppError } from "../../shared/core/errors.ts";

const PEM = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
const files: Readonly<Record<string, string>> = {
  "cert.pem": PEM,
  "key.pem": PEM,
  "empty.pem": "",
  "cloud.json": '{"httpPort":8081,"telemetryDays":30,"adminPassword":"very-secret"}',
  "wrong.json": '{"httpPort":"many","nonsense":1}',
};

function readAll(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return readCloudConfig({
    argv,
    env,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      return text;
    },
  });
}

function read(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return readAll(argv, env).config;
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

  test("takes the address of a mail server as a secret", () => {
    expect(read([]).smtpUrl).toBeNull();
    const { smtpUrl } = read([], { SKERRY_SMTP_URL: "smtps://me:mail-secret@mail.example.com:465" });
    expect(smtpUrl?.reveal()).toBe("smtps://me:mail-secret@mail.example.com:465");
    expect(JSON.stringify(smtpUrl)).not.toContain("mail-secret");
    const [problem] = problemsOf([], { SKERRY_SMTP_URL: "https://me:mail-secret@mail.example.com" });
    expect(problem).toStartWith("smtpUrl (");
    expect(problem).not.toContain("mail-secret");
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
      "Unknown flag --nonsense",
      "--rpc-port needs a value",
      "httpPort (flag --http-port)",
      "logLevel (flag --log-level)",
      "tlsCertFile and tlsKeyFile belong together",
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
      "tlsCertFile: file none.pem can't be read: ENOENT",
      "tlsKeyFile: expected PEM in file empty.pem, found none",
    ]);
  });

  test("takes a flag before a variable, and empty variables for none", () => {
    const env = { SKERRY_CLOUD_DATA_DIR: "/env", SKERRY_ADMIN_PASSWORD: "", DATABASE_URL: "postgres://u:p@h/d" };
    const config = read(["--data-dir", "/flag", "--http-port", "0", "--rpc-port", "0"], env);
    expect(config).toMatchObject({ dataDir: "/flag", adminPassword: null, http: { port: 0 }, rpc: { port: 0 } });
    expect(config.databaseUrl?.reveal()).toBe("postgres://u:p@h/d");
    expect(JSON.stringify(config)).not.toContain("u:p");
    expect(problemsOf(["--http-port", "7070"])).toEqual([
      "httpPort and rpcPort are both 7070, expected different ports",
    ]);
  });

  test("takes a file of settings behind flags and variables, and names what is wrong in it", () => {
    const config = read(["--config", "cloud.json", "--rpc-port", "7071"], { SKERRY_CLOUD_HTTP_PORT: "8082" });
    expect(config).toMatchObject({ http: { port: 8082 }, rpc: { port: 7071 }, telemetryKeptMs: 30 * 86_400_000 });
    expect(config.adminPassword?.reveal()).toBe("very-secret");
    expect(problemsOf([], { SKERRY_CLOUD_CONFIG: "wrong.json" })).toEqual([
      "nonsense (file wrong.json) is not a setting; see --help",
      'httpPort (file wrong.json): expected an integer from 0 to 65535, got "many"',
    ]);
  });

  test("warns of variables without effect and of secrets that the list of processes shows", () => {
    const { warnings } = readAll(["--admin-password", "very-secret"], { SKERRY_CLOUD_PORT: "1" });
    expect(warnings).toEqual([
      "Variable SKERRY_CLOUD_PORT is not a setting and has no effect",
      "A secret given by flag --admin-password is visible in the list of processes; use SKERRY_ADMIN_PASSWORD or the file of settings",
    ]);
  });

  test("has a help text with every flag and variable", () => {
    const help = describeSettings();
    for (const [name, setting] of Object.entries(CLOUD_SETTINGS)) {
      expect(help).toContain(`--${flagOf(name)}`);
      expect(help).toContain(variableOf(name, setting, CLOUD_FORM.variablePrefix));
    }
  });
});

test("CLOUD_VERSION is the version of the package", () => {
  expect(CLOUD_VERSION).toBe(packageJson.version);
});
