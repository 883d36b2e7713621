import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { ExecutionStage_Value as Stage } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { useInstance } from "../durable-objects/instance/instance-fixture.ts";
import { CURL, JQ, lacking } from "../e2e/tools.ts";

const TOKEN = "autoscaler-token";
const instance = useInstance(
  {},
  {
    access: {
      anonymous: { main: ["executor", "agent"] },
      tokens: [
        {
          name: "autoscaler",
          sha256: createHash("sha256").update(TOKEN).digest("hex"),
          roles: { main: ["operator"] },
        },
      ],
    },
  },
);
const demandSchema = z.object({ queued: z.number(), active: z.number() });

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "remex-autoscaling-"));
});
afterAll(() => rm(directory, { recursive: true }));

/** Runs the script and returns what it asks the cloud for. */
async function resize(environment: Readonly<Record<string, string>> = {}): Promise<string> {
  const gcloud = join(directory, "gcloud");
  const asked = join(directory, "asked");
  const token = join(directory, "token");
  await writeFile(token, TOKEN);
  await writeFile(gcloud, `#!/bin/sh\necho "$*" > '${asked}'\n`);
  await chmod(gcloud, 0o755);
  await promisify(execFile)("docs/autoscaling/instance-group.sh", [], {
    env: {
      PATH: `${directory}:${process.env["PATH"] ?? ""}`,
      REMEX_ENDPOINT: instance.worker.url,
      REMEX_TOKEN_FILE: token,
      GROUP: "builders",
      ZONE: "z1",
      SLOTS: "2",
      ...environment,
    },
  });
  return (await readFile(asked, "utf8")).trim();
}

const LACKING = lacking(CURL, JQ);

test.skipIf(LACKING !== "")(
  `an instance group gets a machine for so many actions that wait or run${LACKING}`,
  async () => {
    const resized = (size: number) =>
      `compute instance-groups managed resize builders --zone z1 --size ${size} --quiet`;
    expect(await resize()).toBe(resized(0));
    const agent = await instance.connect("one");
    const streams = [await instance.execute(), await instance.execute(), await instance.execute()];
    const [running, ...waiting] = streams;
    await running?.until(Stage.EXECUTING);
    for (const stream of waiting) await stream.until(Stage.QUEUED);
    expect(await resize()).toBe(resized(2));
    expect(await resize({ MAXIMUM: "1" })).toBe(resized(1));
    expect(await resize({ MINIMUM: "5" })).toBe(resized(5));
    for (const stream of streams) {
      agent.complete((await agent.next("lease")).leaseId);
      await stream.response();
    }
  },
);

test("Kubernetes is told of fields that there are", async () => {
  const keda = await readFile("docs/autoscaling/keda.yaml", "utf8");
  const locations = [...keda.matchAll(/valueLocation: (\S+)/g)].map(([, location]) => location);
  expect(locations).toEqual(["queued", "active"]);
  const demand = await fetch(`${instance.worker.url}/v1/instances/main/demand`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  expect(demandSchema.parse(await demand.json())).toEqual({ queued: 0, active: 0 });
});
