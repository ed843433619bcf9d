import { describe, expect, test } from "bun:test";
import { COMMANDS, type CommandLineDeps } from "../../edge/cli/commands.ts";
import { readEdgeConfig } from "../../edge/config.ts";
import { renderEdgeSettings } from "../../edge/settings-page.ts";
import { EDGE_SETTINGS } from "../../edge/settings.ts";
import { Secret } from "../../shared/config/secret.ts";
import { AppError } from "../../shared/core/errors.ts";

interface Given {
  readonly argv?: readonly string[];
  readonly env?: CommandLineDeps["env"];
  /** Path to content. */
  readonly files?: Readonly<Record<string, string>>;
}

const CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

function read({ argv = [], env = {}, files = {} }: Given = {}) {
  const readFile = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  };
  return readEdgeConfig({ argv, env, readFile, commands: COMMANDS });
}

/** The lines of the error, without the one that counts them. */
function problemsOf(given: Given): readonly string[] {
  try {
    read(given);
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect(AppError.from(error).code).toBe("CONFIG_INVALID");
    return AppError.from(error)
      .message.split("\n")
      .slice(1)
      .map((line) => line.trim());
  }
  throw new Error("Expected CONFIG_INVALID, but the settings were taken");
}

describe("readEdgeConfig()", () => {
  test("gives the defaults and the command run when nothing is given", () => {
    const { command, config, warnings } = read();
    expect(command.name).toBe("run");
    expect(config).toMatchObject({
      dataDir: "./skerry-data",
      cloudUrl: null,
      mqttPort: 1883,
      httpPort: 8080,
      coapPort: 5683,
      insecure: false,
    });
    expect(config.edgeSecret).toBeNull();
    expect(warnings).toEqual([]);
  });

  test("takes the flag before the variable, the variable before the file, the file before the default", () => {
    const files = { "./skerry-data/config.json": '{"mqttPort":1,"httpPort":2,"logLevel":"warn"}' };
    const env = { SKERRY_MQTT_PORT: "3", SKERRY_HTTP_PORT: "4" };
    const { config, settings } = read({ argv: ["--mqtt-port=5"], env, files });
    expect(config).toMatchObject({ mqttPort: 5, httpPort: 4, logLevel: "warn", mqttHost: "0.0.0.0" });
    const sources = Object.fromEntries(settings.map(({ name, source, origin }) => [name, [source, origin]]));
    expect(sources).toMatchObject({
      mqttPort: ["flag", "flag --mqtt-port"],
      httpPort: ["environment", "variable SKERRY_HTTP_PORT"],
      logLevel: ["file", "file ./skerry-data/config.json"],
      mqttHost: ["default", "default"],
    });
  });

  test.each([
    [{ argv: ["--config", "/a.json"] }],
    [{ env: { SKERRY_CONFIG: "/a.json" } }],
    [{ argv: ["--data-dir", "/data/"], files: { "/data/config.json": '{"httpPort":9}' } }],
    [{ env: { SKERRY_DATA_DIR: "/data" }, files: { "/data/config.json": '{"httpPort":9}' } }],
  ])("finds the file of settings: %j", (given: Given) => {
    expect(read({ files: { "/a.json": '{"httpPort":9}' }, ...given }).config.httpPort).toBe(9);
  });

  test("names every fault of every source in one error", () => {
    const problems = problemsOf({
      argv: ["--mqtt-port", "70000", "--bogus=1", "--http-host", "", "--tls-ca-file", "/gone.pem"],
      env: { SKERRY_LOG_LEVEL: "loud", SKERRY_EDGE_KEY: "k" },
      files: { "./skerry-data/config.json": '{"httpPort":"8080","insecure":1,"adminEmail":null,"cloudUri":"x"}' },
    });
    expect(problems).toEqual([
      "Unknown flag --bogus; see --help",
      "cloudUri (file ./skerry-data/config.json) is not a setting; see --help",
      "insecure (file ./skerry-data/config.json): expected true or false, got 1",
      "mqttPort (flag --mqtt-port): expected an integer from 0 to 65535, got 70000",
      "httpHost (flag --http-host): expected a text that is not empty, got an empty text",
      'httpPort (file ./skerry-data/config.json): expected an integer from 0 to 65535, got "8080"',
      "adminEmail (file ./skerry-data/config.json): expected an e-mail address, got null",
      'logLevel (variable SKERRY_LOG_LEVEL): expected one of debug, info, warn, error, got "loud"',
      "tlsCaFile: file /gone.pem can't be read: ENOENT",
      "edgeKey is set without edgeSecret or secretFile",
    ]);
  });

  test("reports a wrong value even where a source of higher precedence holds a right one", () => {
    expect(problemsOf({ argv: ["--mqtt-port", "1"], env: { SKERRY_MQTT_PORT: "x" } })).toEqual([
      'mqttPort (variable SKERRY_MQTT_PORT): expected an integer from 0 to 65535, got "x"',
    ]);
  });

  test.each([
    [{ argv: ["--database-url", "hunter2"] }],
    [{ env: { DATABASE_URL: "mysql://u:hunter2@h/d" } }],
    [{ argv: ["--cloud-url", "https://u:hunter2@cloud.example"] }],
    [{ argv: ["--edge-secrett", "hunter2"] }],
    [{ argv: ["--edge-secrett=hunter2"] }],
    [{ files: { "./skerry-data/config.json": '{"edgeSecret":["hunter2"]}' } }],
    [{ files: { "./skerry-data/config.json": '{"edgeSecret": hunter2' } }],
    [{ argv: ["--edge-secret", "hunter2"], env: { SKERRY_MQTT_PORT: "x" } }],
  ])("shows no secret in its error: %j", (given: Given) => {
    expect(problemsOf(given).join("\n")).not.toContain("hunter2");
  });

  test.each([
    ["{", "File of settings ./skerry-data/config.json is not a JSON object"],
    ["[1]", "File of settings ./skerry-data/config.json is not a JSON object"],
    [
      '{"dataDir":"/x"}',
      "dataDir (file ./skerry-data/config.json) can't be set in the data directory itself; use --data-dir or SKERRY_DATA_DIR",
    ],
    ['{"__proto__":1,"toString":2}', "toString (file ./skerry-data/config.json) is not a setting; see --help"],
  ])("refuses the file %s", (text, problem) => {
    expect(problemsOf({ files: { "./skerry-data/config.json": text } })).toContain(problem);
  });

  test("refuses a file of settings that was named but is not there", () => {
    expect(problemsOf({ argv: ["--config", "/none.json"] })).toEqual([
      "File of settings /none.json can't be read: ENOENT",
    ]);
  });

  test.each([
    "cloud.example:7070",
    "ftp://cloud.example",
    "https://",
    "https://cloud.example/path",
    "https://cloud.example?x=1",
  ])("refuses the cloud's address %s", (url) => {
    expect(problemsOf({ argv: ["--cloud-url", url, "--edge-key", "k", "--edge-secret", "s"] })[0]).toContain(
      "expected an address as https://cloud.example:7070",
    );
  });

  test.each(["http://localhost:7070", "http://127.0.0.9:7070", "http://[::1]:7070", "https://cloud.example:7070"])(
    "sends the secret to %s without a warning",
    (url) => {
      const { config, warnings } = read({
        argv: ["--cloud-url", url, "--edge-key=k"],
        env: { SKERRY_EDGE_SECRET: "s" },
      });
      expect(config.cloudUrl).toBe(url);
      expect(warnings).toEqual([]);
    },
  );

  test("refuses to send the secret to another host in plain text, unless told so", () => {
    const given = {
      argv: ["--cloud-url", "http://127.0.0.1.example:7070", "--edge-key=k"],
      env: { SKERRY_EDGE_SECRET: "s" },
    };
    expect(problemsOf(given).join()).toContain("(INSECURE_TRANSPORT): The secret would travel in plain text");
    const { config, warnings } = read({ ...given, argv: [...given.argv, "--insecure"] });
    expect(config.insecure).toBe(true);
    expect(warnings.join()).toContain("is not encrypted");
  });

  test("wants key and secret together, and both for a cloud", () => {
    expect(problemsOf({ env: { SKERRY_EDGE_SECRET: "s" } })).toEqual(["The edge's secret is set without edgeKey"]);
    expect(problemsOf({ argv: ["--cloud-url=https://c.example"] })[0]).toStartWith("cloudUrl is set without edgeKey");
    expect(read({ argv: ["--edge-key=k"], env: { SKERRY_EDGE_SECRET: "s" } }).warnings).toHaveLength(1);
  });

  test("reads the secret and the authorities from their files", () => {
    const files = { "/secret": "s3cret\n", "/ca.pem": CERTIFICATE };
    const { config } = read({ argv: ["--edge-key=k", "--secret-file=/secret", "--tls-ca-file=/ca.pem"], files });
    expect(config.edgeSecret?.reveal()).toBe("s3cret");
    expect(config.tlsCa).toBe(CERTIFICATE);
  });

  test.each([
    [
      { argv: ["--secret-file=/secret", "--edge-secret=x", "--edge-key=k"] },
      "edgeSecret and secretFile are both set, expected one of them",
    ],
    [
      { argv: ["--secret-file=/empty", "--edge-key=k"] },
      "secretFile: expected the secret in file /empty, but it is empty",
    ],
    [{ argv: ["--tls-cert-file=/secret"] }, "tlsCertFile and tlsKeyFile belong together, but only one is set"],
    [{ argv: ["--tls-ca-file=/secret"] }, "tlsCaFile: expected a certificate in PEM form in file /secret, found none"],
    [{ argv: ["--mqtt-port=9", "--http-port=9"] }, "mqttPort and httpPort are both 9, expected different ports"],
    [
      { env: { SKERRY_ADMIN_PASSWORD: "12345" } },
      "adminPassword (variable SKERRY_ADMIN_PASSWORD): expected a text of at least 6 characters, got a text that is not shown",
    ],
    [{ argv: ["--mqtt-port"] }, "--mqtt-port needs a value"],
    [{ argv: ["--mqtt-port", "--insecure"] }, "--mqtt-port needs a value"],
    [{ argv: ["--mqtt-port=1", "--mqtt-port=2"] }, "--mqtt-port is given twice"],
    [{ argv: ["-p", "1"] }, "Unknown flag -p; see --help"],
    [{ argv: ["dance"] }, "Unknown command dance; see --help"],
    [{ argv: ["devices", "add"] }, "Command devices add needs NAME"],
    [{ argv: ["status", "now"] }, "Command status takes 0 arguments, got 1"],
    [{ argv: ["status", "--lane", "config"] }, "Command status takes no --lane"],
  ])("refuses %j", (given: Given, problem: string) => {
    expect(problemsOf({ files: { "/secret": "s3cret", "/empty": "\n" }, ...given })).toContain(problem);
  });

  test("takes one port for both on different addresses", () => {
    const argv = ["--mqtt-port=9", "--http-port=9", "--http-host=127.0.0.1", "--mqtt-host=127.0.0.2"];
    expect(read({ argv }).config).toMatchObject({ mqttPort: 9, httpPort: 9 });
  });

  test("takes the word off in place of a port of CoAP, and no other", () => {
    expect(read({ argv: ["--coap-port=off"] }).config).toMatchObject({ coapPort: "off" });
    expect(read({ env: { SKERRY_COAP_PORT: "0" } }).config).toMatchObject({ coapPort: 0 });
    expect(problemsOf({ argv: ["--coap-port=no"] })).toEqual([
      'coapPort (flag --coap-port): expected an integer from 0 to 65535, or off, got "no"',
    ]);
  });

  test("takes port 0, twice", () => {
    expect(read({ argv: ["--mqtt-port=0", "--http-port=0"] }).config).toMatchObject({ mqttPort: 0, httpPort: 0 });
  });

  test("takes an empty variable as absent, and a flag without value as true", () => {
    const { config } = read({
      argv: ["--insecure"],
      env: { SKERRY_MQTT_PORT: "", DATABASE_URL: "", SKERRY_CONFIG: "" },
    });
    expect(config).toMatchObject({ mqttPort: 1883, databaseUrl: null, insecure: true });
    expect(read({ argv: ["--insecure=false"], env: { SKERRY_INSECURE: "true" } }).config.insecure).toBe(false);
  });

  test("warns of unknown variables by name only, and of secrets among the flags", () => {
    const { warnings } = read({
      argv: ["--edge-key=k", "--edge-secret=hunter2", "--cloud-url=https://c.example"],
      env: { SKERRY_MQTT_PROT: "hunter3", PATH: "/bin" },
    });
    expect(warnings).toEqual([
      "Variable SKERRY_MQTT_PROT is not a setting and has no effect",
      "A secret given by flag --edge-secret is visible in the list of processes; use SKERRY_EDGE_SECRET or the file of settings",
    ]);
  });

  test("shows secrets in no form but by reveal()", () => {
    const { config, settings } = read({
      env: { SKERRY_ADMIN_PASSWORD: "hunter2", DATABASE_URL: "postgres://u:hunter2@h/d" },
    });
    const shown = [JSON.stringify({ config, settings }), Bun.inspect(config), String(config.adminPassword)].join();
    expect(shown).not.toContain("hunter2");
    expect(shown).toContain("[hidden]");
    expect(config.databaseUrl?.reveal()).toBe("postgres://u:hunter2@h/d");
  });
});

describe("EDGE_SETTINGS", () => {
  test("has defaults that its own checks take", () => {
    for (const [name, { default: value, read: check }] of Object.entries(EDGE_SETTINGS)) {
      if (value !== null) expect([name, check(value)]).toEqual([name, value]);
    }
  });
});

describe("Secret", () => {
  test("is hidden in texts, JSON and inspection", () => {
    const secret = new Secret("hunter2");
    expect([String(secret), JSON.stringify([secret]), Bun.inspect({ secret })].join()).not.toContain("hunter2");
  });
});

describe("renderEdgeSettings()", () => {
  test("gives docs/configuration.md", async () => {
    const path = new URL("../../docs/configuration.md", import.meta.url).pathname;
    expect(renderEdgeSettings(COMMANDS)).toBe(await Bun.file(path).text());
  });
});
