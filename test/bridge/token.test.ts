import { expect, test } from "vitest";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { startEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const { queryWriteStatus } = ByteStream.method;

/** A client of a bridge that has a token, and what the endpoint saw of each call. */
async function start(token: (() => string) | undefined) {
  const seen: (string | null)[] = [];
  const endpoint = await startEndpoint((router) =>
    router.rpc(queryWriteStatus, (_request, { requestHeader }) => {
      seen.push(requestHeader.get("authorization"));
      return {};
    }),
  );
  const bridge = await startTestBridge(endpoint, {}, { token });
  return { seen, client: new NativeClient(bridge.port) };
}

test("calls without authorization get the bridge's token, the one that it has at the time", async () => {
  const tokens = ["one", "two"];
  const { seen, client } = await start(() => tokens.shift() ?? "");
  await client.unary(queryWriteStatus, {});
  await client.unary(queryWriteStatus, {});
  expect(seen).toEqual(["Bearer one", "Bearer two"]);
});

test("a client's own authorization is its own", async () => {
  const { seen, client } = await start(() => "bridge");
  await client.unary(queryWriteStatus, {}, { metadata: { authorization: "Bearer client" } });
  expect(seen).toEqual(["Bearer client"]);
});

test("a bridge without a token adds nothing", async () => {
  const { seen, client } = await start(undefined);
  await client.unary(queryWriteStatus, {});
  expect(seen).toEqual([null]);
});
