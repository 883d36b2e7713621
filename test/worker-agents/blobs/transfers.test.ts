import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it, onTestFinished } from "vitest";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { digestKey, type Digest } from "../../../src/digest/digest.ts";
import { openCas, type Cas } from "../../../worker-agents/blobs/cas.ts";
import { fetchBlobs, fetchBytes } from "../../../worker-agents/blobs/fetch-blobs.ts";
import { uploadBlobs } from "../../../worker-agents/blobs/upload-blobs.ts";
import type { CasServer } from "../cas-server.ts";
import { sha256 } from "../cas-server.ts";
import { startPeer, temporaryDirectory } from "../running-agent.ts";

const never = new AbortController().signal;
const LARGE = Buffer.alloc(2_500_000, "large ");

async function connect(maxRequestBytes = 95_000_000): Promise<{ server: CasServer; cas: Cas }> {
  const peer = await startPeer();
  const cas = openCas({
    endpoint: peer.endpoint,
    instanceName: "main",
    token: undefined,
    retryPolicy: { attempts: 3, baseMs: 1, maxMs: 2 },
    callTimeoutMs: 10_000,
    maxRequestBytes,
  });
  onTestFinished(() => {
    cas.close();
  });
  return { server: peer.cas, cas };
}

async function fetched(cas: Cas, digests: readonly Digest[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  await fetchBytes(cas, digests, never, (digest, bytes) => found.set(digestKey(digest), Buffer.from(bytes).toString()));
  return found;
}

describe("reading", () => {
  it("repeats a call that may go better", async () => {
    const { server, cas } = await connect();
    const digest = server.put("blob");
    const retryInfo = { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(1) } };
    server.failures.set("batchRead", [
      new ConnectError("busy", Code.Unavailable),
      new ConnectError("quota", Code.ResourceExhausted, undefined, [retryInfo]),
    ]);
    expect([...(await fetched(cas, [digest])).values()]).toEqual(["blob"]);
    expect(server.callsOf("batchRead")).toBe(3);
  });

  it("does not repeat what would fail again, nor for ever", async () => {
    const { server, cas } = await connect();
    const digest = server.put("blob");
    server.failures.set("batchRead", [new ConnectError("quota", Code.ResourceExhausted)]);
    await expect(fetched(cas, [digest])).rejects.toThrow("quota");
    expect(server.callsOf("batchRead")).toBe(1);
    server.failures.set("batchRead", Array<ConnectError>(9).fill(new ConnectError("busy", Code.Unavailable)));
    await expect(fetched(cas, [digest])).rejects.toThrow("busy");
    expect(server.callsOf("batchRead")).toBe(4);
  });

  it("asks again only for the blobs of a batch that failed", async () => {
    const { server, cas } = await connect();
    const [good, bad] = [server.put("good"), server.put("bad")];
    server.blobFailures.set(bad.hash, Code.Unavailable);
    expect(await fetched(cas, [good, bad])).toEqual(
      new Map([
        [digestKey(good), "good"],
        [digestKey(bad), "bad"],
      ]),
    );
    expect(server.callsOf("batchRead")).toBe(2);
    server.blobFailures.set(bad.hash, Code.PermissionDenied);
    await expect(fetched(cas, [good, bad])).rejects.toThrow(`blobs/${bad.hash}/3: told to`);
  });

  it("takes a broken stream up where it broke, as long as there is progress", async () => {
    const { server, cas } = await connect();
    const digest = server.put(LARGE);
    server.cutReadsAfterBytes = [500_000, 500_000, 500_000, 500_000];
    expect((await fetched(cas, [digest])).get(digestKey(digest))).toBe(LARGE.toString());
    expect(server.offsets).toEqual([0, 500_000, 1_000_000, 1_500_000, 2_000_000]);
    server.cutReadsAfterBytes = [0, 0, 0];
    await expect(fetched(cas, [digest])).rejects.toThrow("cut");
  });

  it("tells a blob that is not there from one that is corrupt", async () => {
    const { server, cas } = await connect();
    const [small, large] = [server.put("small"), server.put(LARGE)];
    const absent = [sha256("absent"), sha256(Buffer.concat([LARGE, LARGE]))];
    const missing = await fetchBlobs(cas, [small, large, ...absent], never, async (_, content) => {
      if (!(content instanceof Uint8Array)) for await (const piece of content) expect(piece.length).toBeGreaterThan(0);
    });
    expect(missing.map(digestKey).sort()).toEqual(absent.map(digestKey).sort());
    server.blobs.set(`${small.hash}/5`, Buffer.from("SMALL"));
    await expect(fetched(cas, [small])).rejects.toThrow(`other bytes for blobs/${small.hash}/5`);
    server.blobs.set(`${large.hash}/${LARGE.length}`, Buffer.alloc(LARGE.length));
    await expect(fetched(cas, [large])).rejects.toThrow("other bytes");
  });

  it("keeps to the batch size that the server states, and asks for it once", async () => {
    const { server, cas } = await connect();
    server.maxBatchTotalSizeBytes = 1_000n;
    const digests = Array.from({ length: 10 }, (_, i) => server.put(`${i}`.repeat(300)));
    expect((await fetched(cas, digests)).size).toBe(10);
    await fetched(cas, digests);
    expect(server.callsOf("batchRead")).toBe(10);
    expect(server.callsOf("capabilities")).toBe(1);
  });

  it("ends when it is aborted", async () => {
    const { server, cas } = await connect();
    server.gate = new Promise(() => undefined);
    const stop = new AbortController();
    const reading = fetchBlobs(cas, [server.put("x"), server.put(LARGE)], stop.signal, async (_, content) => {
      if (!(content instanceof Uint8Array)) for await (const piece of content) expect(piece).toBeDefined();
    });
    stop.abort(new Error("enough"));
    await expect(reading).rejects.toThrow();
  });
});

describe("uploading", () => {
  it("stores what is missing, from memory and from files, and neither twice nor empty", async () => {
    const { server, cas } = await connect();
    const path = join(await temporaryDirectory(), "large");
    await writeFile(path, Buffer.concat([LARGE, Buffer.from("what was appended later")]));
    const here = server.put("here");
    await uploadBlobs(
      cas,
      [
        { digest: here, source: Buffer.from("here") },
        { digest: sha256("new"), source: Buffer.from("new") },
        { digest: sha256("new"), source: Buffer.from("new") },
        { digest: sha256(""), source: new Uint8Array() },
        { digest: sha256(LARGE), source: { path } },
      ],
      never,
    );
    expect(server.blobs.size).toBe(3);
    expect([server.callsOf("findMissing"), server.callsOf("batchUpdate"), server.callsOf("write")]).toEqual([1, 1, 1]);
  });

  it("makes no call for nothing", async () => {
    const { server, cas } = await connect();
    await uploadBlobs(cas, [{ digest: sha256(""), source: new Uint8Array() }], never);
    expect(server.calls.size).toBe(0);
  });

  it("goes on where a write broke", async () => {
    const { server, cas } = await connect();
    server.cutWritesAfterBytes = [1_000_000];
    await uploadBlobs(cas, [{ digest: sha256(LARGE), source: LARGE }], never);
    expect(server.get(sha256(LARGE))).toEqual(LARGE);
    expect(server.callsOf("queryWriteStatus")).toBe(1);
    expect(server.offsets[0]).toBe(0);
    expect(server.offsets[1]).toBeGreaterThan(0);
  });

  it("takes an early answer for what it is, and can go on calling", async () => {
    const { server, cas } = await connect();
    const path = join(await temporaryDirectory(), "large");
    const large = Buffer.alloc(20_000_000, "early");
    await writeFile(path, large);
    for (let i = 0; i < 20; i++) {
      server.earlyAnswers = 1;
      await uploadBlobs(cas, [{ digest: sha256(large), source: { path } }], never);
    }
    expect(server.callsOf("write")).toBe(20);
    expect(server.callsOf("queryWriteStatus")).toBe(0);
  });

  it("cuts a blob into requests of the allowed size", async () => {
    const { server, cas } = await connect(1_000_000);
    await uploadBlobs(cas, [{ digest: sha256(LARGE), source: LARGE }], never);
    expect(server.offsets).toEqual([0, 1_000_000, 2_000_000]);
    expect(server.blobs.size).toBe(1);
  });

  it("sends those blobs of a batch again that failed, and gives up on what will not go", async () => {
    const { server, cas } = await connect();
    server.blobFailures.set(sha256("b").hash, Code.Unavailable);
    const uploads = ["a", "b"].map((text) => ({ digest: sha256(text), source: Buffer.from(text) }));
    await uploadBlobs(cas, uploads, never);
    expect(server.blobs.size).toBe(2);
    server.blobs.clear();
    server.blobFailures.set(sha256("b").hash, Code.ResourceExhausted);
    await expect(uploadBlobs(cas, uploads, never)).rejects.toThrow(sha256("b").hash);
  });
});
