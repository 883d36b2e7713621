import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import type { GrpcTarget } from "../calls/grpc-caller.ts";
import { allScenarios, isNamed } from "../scenarios/all-scenarios.ts";
import { type ScaleName, SCALES, type Scenario } from "../scenarios/scenario.ts";

/** What the bench is to do. */
export interface BenchOptions {
  readonly scenarios: readonly Scenario[];
  /** The server to measure; undefined starts Remex. */
  readonly target: GrpcTarget | undefined;
  /** The Worker behind the target, if it is Remex. */
  readonly workerUrl: URL | undefined;
  readonly instanceName: string;
  readonly runs: number;
  readonly slots: number;
  readonly scale: ScaleName;
  readonly platform: readonly { readonly name: string; readonly value: string }[];
  readonly baselines: boolean;
  readonly bill: boolean;
  readonly r2LatencyMs: number;
  readonly objectLatencyMs: number;
  /** Text of the configuration of the Remex that is started. */
  readonly config: string | undefined;
  /** Where the CPU profiles of the Remex that is started go. */
  readonly profiles: string | undefined;
  /** Where the report goes as JSON; `-` is stdout, in place of the tables. */
  readonly json: string | undefined;
}

interface Flags {
  readonly target?: URL;
  readonly direct?: URL;
  readonly instance: string;
  readonly tlsCa?: Buffer;
  readonly tlsCert?: Buffer;
  readonly tlsKey?: Buffer;
  readonly token?: string;
  readonly deadline: number;
  readonly runs: number;
  readonly slots: number;
  readonly scale: ScaleName;
  readonly platformProperty: readonly { readonly name: string; readonly value: string }[];
  readonly baselines: boolean;
  readonly bill: boolean;
  readonly r2LatencyMs: number;
  readonly objectLatencyMs: number;
  readonly config?: Buffer;
  readonly cpuProf?: string;
  readonly json?: string;
}

/** Parses the command line and runs `bench` with it. Wrong usage and `--help` end the process, as commander does. */
export async function parseOptions(
  argv: readonly string[],
  bench: (options: BenchOptions) => Promise<void>,
): Promise<void> {
  const names = allScenarios(SCALES.full, 1).map(({ name }) => name);
  await new Command("bench")
    .description(
      "Measures a Remote Execution API server as a client sees it: speed, errors, and for Remex also what it would cost.\n" +
        "Without --target it starts Remex on this machine, in a temporary directory.",
    )
    .argument("[scenario...]", "scenarios to run, or the beginnings of their names; all by default")
    .addOption(new Option("--target <url>", "grpc://host:port, or grpcs:// with TLS").argParser(parseTarget))
    .addOption(
      new Option(
        "--direct <url>",
        "the Worker behind the target, if it is Remex: shows what the bridge costs",
      ).argParser(parseHttpUrl),
    )
    .option("--instance <name>", "instance name in every request", "main")
    .option("--tls-ca <file>", "PEM of the authority that the server's certificate is checked against", readPath)
    .option("--tls-cert <file>", "PEM of the client's certificate", readPath)
    .option("--tls-key <file>", "PEM of the client's key", readPath)
    .addOption(new Option("--token <token>", "sent as a bearer token with every call").env("BENCH_TOKEN"))
    .option("--deadline <seconds>", "limit of one call", parsePositive, 300)
    .option("--runs <n>", "how often each scenario is run after its warm-up", parsePositive, 3)
    .option("--slots <n>", "how many actions run at once: the agent's, and the local baseline's", parsePositive, 8)
    .addOption(
      new Option("--scale <scale>", "tiny shows in seconds that everything works, and measures nothing")
        .choices(Object.keys(SCALES))
        .default("full"),
    )
    .option("--platform-property <name=value>", "of every action; may be repeated", addProperty, [])
    .option("--no-baselines", "leave out what shows the physical limits")
    .option("--no-bill", "count nothing: measure the very Worker that is deployed")
    .option("--r2-latency-ms <ms>", "let each R2 operation wait, at most six at once a request", parseLatency, 0)
    .option("--object-latency-ms <ms>", "let each call of an object wait", parseLatency, 0)
    .option("--config <file>", "the configuration of the Remex that is started", readPath)
    .option("--cpu-prof <dir>", "write CPU profiles of the Remex that is started; it is slower then")
    .option("--json <file>", "write the report as JSON; - for stdout instead of the tables")
    .addHelpText("after", `\nScenarios: ${names.join(", ")}`)
    .action(async (scenarios: readonly string[], flags: Flags, command: Command) => {
      const fault = contradiction(flags) ?? unknownScenario(names, scenarios);
      if (fault !== undefined) command.error(`error: ${fault}`);
      await bench(toOptions(scenarios, flags));
    })
    .parseAsync([...argv]);
}

/** What is wrong with flags that are each right. */
function contradiction({ target, direct, config, cpuProf, bill, r2LatencyMs, objectLatencyMs, ...tls }: Flags) {
  const delayed = r2LatencyMs > 0 || objectLatencyMs > 0;
  if (target === undefined) {
    if (direct !== undefined) return "--direct goes with --target";
    if (delayed && !bill) return "latencies are put where operations are counted: leave out --no-bill";
    return undefined;
  }
  if (delayed || config !== undefined || cpuProf !== undefined) {
    return "--r2-latency-ms, --object-latency-ms, --config and --cpu-prof are for the Remex that the bench starts itself";
  }
  if (target.protocol === "grpc:" && (tls.tlsCa ?? tls.tlsCert ?? tls.tlsKey) !== undefined) {
    return "TLS is spoken with grpcs://";
  }
  return undefined;
}

/** What is wrong with the scenarios that were asked for. */
function unknownScenario(names: readonly string[], asked: readonly string[]): string | undefined {
  const unknown = asked.find((name) => !names.some((known) => isNamed(known, name)));
  return unknown && `there is no scenario ${unknown}; there are: ${names.join(", ")}`;
}

function toOptions(asked: readonly string[], flags: Flags): BenchOptions {
  return {
    scenarios: allScenarios(SCALES[flags.scale], flags.slots).filter(
      ({ name }) => asked.length === 0 || asked.some((each) => isNamed(name, each)),
    ),
    target: flags.target && toTarget(flags.target, flags),
    workerUrl: flags.direct,
    instanceName: flags.instance,
    runs: flags.runs,
    slots: flags.slots,
    scale: flags.scale,
    platform: flags.platformProperty,
    baselines: flags.baselines,
    bill: flags.bill,
    r2LatencyMs: flags.r2LatencyMs,
    objectLatencyMs: flags.objectLatencyMs,
    config: flags.config?.toString("utf8"),
    profiles: flags.cpuProf,
    json: flags.json,
  };
}

function toTarget(url: URL, { tlsCa, tlsCert, tlsKey, token, deadline }: Flags): GrpcTarget {
  return {
    address: url.host,
    tls:
      url.protocol === "grpcs:"
        ? { certificateAuthority: tlsCa, clientCertificate: tlsCert, clientKey: tlsKey }
        : undefined,
    token,
    deadlineMs: deadline * 1000,
  };
}

function readPath(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

function parseTarget(text: string): URL {
  const url = URL.parse(text);
  if (url?.port === "" || url?.host === "" || (url?.protocol !== "grpc:" && url?.protocol !== "grpcs:")) {
    throw new InvalidArgumentError("It is grpc://host:port or grpcs://host:port.");
  }
  return url;
}

function parseHttpUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol !== "http:") throw new InvalidArgumentError("It is http://host:port.");
  return url;
}

function parsePositive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It is a whole number from 1.");
  return value;
}

function parseLatency(text: string): number {
  const value = Number(text);
  if (text === "" || !(value >= 0 && value <= 10_000)) throw new InvalidArgumentError("It is from 0 to 10000.");
  return value;
}

function addProperty(text: string, before: readonly { name: string; value: string }[]) {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("It is name=value.");
  return [...before, { name, value }];
}
