import type { ConnectRouter } from "@connectrpc/connect";
import { expect } from "vitest";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import type { NativeClient } from "./native-client.ts";

const { read, write } = ByteStream.method;

const PARTS = 100;
const PART_BYTES = 50_000;
const ALL_BYTES = PARTS * PART_BYTES;

/** Takes what is written and tells how much it was; gives as much to who reads. */
export function streamRoutes(router: ConnectRouter): void {
  router.rpc(write, async (requests) => {
    let bytes = 0;
    for await (const { data } of requests) bytes += data.length;
    return { committedSize: BigInt(bytes) };
  });
  router.rpc(read, async function* () {
    for (let part = 0; part < PARTS; part++) yield { data: await Promise.resolve(new Uint8Array(PART_BYTES)) };
  });
}

/** Expects streams of many messages to come through to an endpoint with those routes, and back. */
export async function expectStreams(client: NativeClient): Promise<void> {
  const { call, ending } = client.clientStream(write);
  for (let part = 0; part < PARTS; part++) call.write({ data: new Uint8Array(PART_BYTES) });
  call.end();
  expect((await ending).messages).toMatchObject([{ committedSize: BigInt(ALL_BYTES) }]);
  const { messages } = await client.readAll(read, {});
  expect(messages.reduce((sum, { data }) => sum + data.length, 0)).toBe(ALL_BYTES);
}
