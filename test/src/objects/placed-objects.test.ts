import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test } from "vitest";
import { ContentAddressableStorage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { Operations } from "../../../protos/gen/google/longrunning/operations_pb.ts";
import type { Place } from "../../../src/config/schema.ts";
import { placedObjects, type PlaceableObjects } from "../../../src/objects/placed-objects.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { startWorker } from "../../worker.ts";
import { codeOf, digestOf } from "../clients.ts";

/** A namespace as Cloudflare's is: workerd by itself has no jurisdictions, and makes all objects where it runs. */
function namespaceIn(jurisdiction: string): PlaceableObjects<string, string> {
  return {
    idFromName: (name) => `${jurisdiction}/${name}`,
    get: (id, options) => `${id} made ${options?.locationHint ?? "near its caller"}`,
    jurisdiction: namespaceIn,
  };
}

test.each([
  [{}, "anywhere/a made near its caller"],
  [{ location_hint: "weur" as const }, "anywhere/a made weur"],
  [{ jurisdiction: "eu" as const }, "eu/a made near its caller"],
  [{ jurisdiction: "eu" as const, location_hint: "eeur" as const }, "eu/a made eeur"],
])("objects are in their place: %j", (place, made) => {
  const objects = placedObjects({}, namespaceIn("anywhere"), place);
  expect(objects.get(objects.idFromName("a"))).toBe(made);
});

test("one machine is one place", () => {
  const place = { jurisdiction: "eu" as const, location_hint: "eeur" as const };
  const objects = placedObjects({ REMEX_ONE_PLACE: "here" }, namespaceIn("anywhere"), place);
  expect(objects.get(objects.idFromName("a"))).toBe("anywhere/a made near its caller");
});

/** How calls that reach each kind of object end, where instance and store are in `place`. */
async function callsIn(
  place: Place,
  bindings: Readonly<Record<string, string | undefined>> = {},
  access: object = {},
): Promise<(string | undefined)[]> {
  const names = { instance_name: "main", scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE" };
  const config = JSON.stringify({
    stores: { MAIN_STORE: place },
    schedulers: { MAIN_SCHEDULER: {} },
    services: { execution: [{ ...names, ...place }] },
    access,
  });
  const worker = await startWorker({ config, bindings, onLog: () => undefined });
  onTestFinished(() => worker.dispose());
  const transport = createGrpcWebTransport({ baseUrl: worker.url, ...CONNECTION_PER_CALL });
  const { findMissingBlobs } = createClient(ContentAddressableStorage, transport);
  const { listOperations } = createClient(Operations, transport);
  const calls = [
    findMissingBlobs({ instanceName: "main", blobDigests: [digestOf(Buffer.from("x"))] }),
    listOperations({ name: "main/operations" }),
  ];
  return Promise.all(
    calls.map((call) =>
      call.then(
        () => "OK",
        () => codeOf(call),
      ),
    ),
  );
}

test("a place that is configured makes no difference on one machine", async () => {
  expect(await callsIn({ jurisdiction: "eu", location_hint: "weur" })).toEqual(["OK", "OK"]);
});

test("elsewhere objects are asked for in their jurisdiction, which workerd by itself refuses", async () => {
  const elsewhere = { REMEX_ONE_PLACE: undefined };
  expect(await callsIn({ location_hint: "weur" }, elsewhere)).toEqual(["OK", "OK"]);
  expect(await callsIn({ jurisdiction: "eu" }, elsewhere)).toEqual(["Internal", "Internal"]);
});

test("so are the objects that keep count of callers, which are of no instance", async () => {
  // Without any right a call gets no further than its quota.
  const elsewhere = { REMEX_ONE_PLACE: undefined, REMEX_ANONYMOUS_ROLES: undefined };
  const access = { anonymous_quota: { requests_per_minute: 10 } };
  expect(await callsIn({}, elsewhere, access)).toEqual(["Unauthenticated", "Unauthenticated"]);
  expect(await callsIn({ jurisdiction: "eu" }, elsewhere, access)).toEqual(["Internal", "Internal"]);
});
