import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { expect, it, onTestFinished } from "vitest";
import { LOCAL_WORKER } from "../../cli/local-worker.ts";
import { type Blob, blobOf } from "./action.ts";
import { type Clients, clientsOver, INSTANCE, upload } from "./clients.ts";
import { createNativeTransport } from "./native-transport.ts";
import { RemexProcess } from "./remex-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const STORE = "STORE";
const OPERATOR_TOKEN = "an-operator-of-the-test";

it("remex store check says what is wrong with a store, repairs it, and finds nothing more", async () => {
  const place = await makePlace();
  const first = await startRemex(place);
  const [gone, copied] = [objectBlob(), objectBlob()];
  const blobs = [gone, copied, ...objectBlobs(4)];
  await upload(first.clients, [...blobs, blobOf("a blob that is kept in a row")]);

  const sound = remexStore(place, ["check", "--endpoint", first.url, "--dry-run"]);
  expect(await sound.exited, sound.output).toBe(0);
  expect(sound.stdout).toBe(
    "6 blobs in the index that are R2 objects, 6 objects in R2\n" +
      "0 blobs whose object is missing\n0 objects that nothing refers to\n",
  );

  await first.stop();
  const orphan = await withBucket(place, async (bucket) => {
    await bucket.delete(await keyOf(bucket, gone));
    const key = await keyOf(bucket, copied);
    await bucket.put(`${key}-copy`, "nobody's");
    return `${key}-copy`;
  });
  const second = await startRemex(place);
  const check = ["check", "--endpoint", second.url, "--grace-s", "0"];
  const faults = `missing  sha256/${gone.digest.hash}/${gone.digest.sizeBytes}\nunused   ${orphan}\n`;

  const looked = remexStore(place, [...check, "--dry-run"]);
  expect(await looked.exited, looked.output).toBe(1);
  expect(looked.stdout).toBe(
    `${faults}6 blobs in the index that are R2 objects, 6 objects in R2\n` +
      "1 blobs whose object is missing\n1 objects that nothing refers to\n",
  );
  const repaired = remexStore(place, check);
  expect(await repaired.exited, repaired.output).toBe(0);
  expect(repaired.stdout).toBe(
    `${faults}6 blobs in the index that are R2 objects, 6 objects in R2\n` +
      "1 blobs whose object is missing, removed from the index\n" +
      "1 objects that nothing refers to, to be deleted within minutes\n",
  );
  const again = remexStore(place, [...check, "--dry-run"]);
  expect(await again.exited, again.output).toBe(0);
  expect(again.stdout).toMatch(/^5 blobs in the index that are R2 objects/);

  expect(await missing(second.clients, blobs)).toEqual([gone.digest.hash]);
  await upload(second.clients, [gone]);
  await expectReadable(second.clients, blobs);
});

it("remex store reshard spreads a store over more shards while clients read and write", async () => {
  const place = await makePlace();
  const remex = await startRemex(place);
  const blobs = [...objectBlobs(10), ...rowBlobs(20)];
  await upload(remex.clients, blobs);

  const reshard = remexStore(place, ["reshard", "--endpoint", remex.url, "--shards", "3"]);
  const ended = reshard.exited.then(() => true);
  for (let done = false; !done; done = await Promise.race([ended, Promise.resolve(false)])) {
    const more = [...objectBlobs(1), ...rowBlobs(2)];
    await upload(remex.clients, more);
    blobs.push(...more);
    await expectReadable(remex.clients, blobs.slice(0, 3));
    await expectReadable(remex.clients, more);
  }

  expect(await reshard.exited, reshard.output).toBe(0);
  expect(reshard.stdout).toMatch(/^the store has 3 shards\n$/m);
  expect(await missing(remex.clients, blobs)).toEqual([]);
  await expectReadable(remex.clients, blobs);
  const check = remexStore(place, ["check", "--endpoint", remex.url, "--grace-s", "0", "--dry-run"]);
  expect(await check.exited, check.output).toBe(0);
});

it("remex store says who may, and which stores there are", async () => {
  const place = await makePlace();
  const { url } = await startRemex(place);
  const where = ["--endpoint", url];

  const anybody = new RemexProcess(["store", "check", ...where, "--store", STORE, "--dry-run"]);
  onTestFinished(() => anybody.kill());
  expect(await anybody.fault()).toMatch(/one of the roles operator.*--token-file/);
  const elsewhere = remexStore(place, ["reshard", ...where, "--shards", "2"], "ELSEWHERE");
  expect(await elsewhere.fault()).toMatch(/no instance uses a store "ELSEWHERE"; the stores in use are STORE/);
});

/** What a service of the test is started with, and started again. */
interface Place {
  readonly dataDirectory: string;
  readonly configFile: string;
  /** Holds an operator's token; whoever has none may read and write blobs. */
  readonly tokenFile: string;
}

async function makePlace(): Promise<Place> {
  const directory = await temporaryDirectory();
  const [configFile, tokenFile] = [join(directory, "remex.json5"), join(directory, "token")];
  const sha256 = createHash("sha256").update(OPERATOR_TOKEN).digest("hex");
  const config = {
    stores: { [STORE]: { shards: 1 } },
    schedulers: { SCHEDULER: {} },
    services: { execution: [{ instance_name: INSTANCE, scheduler: "SCHEDULER", cas_store: STORE }] },
    access: {
      anonymous: { [INSTANCE]: ["cache-writer"] },
      tokens: [{ name: "operator", sha256, roles: { [INSTANCE]: ["operator"] } }],
    },
  };
  await writeFile(configFile, JSON.stringify(config));
  await writeFile(tokenFile, `${OPERATOR_TOKEN}\n`);
  return { dataDirectory: join(directory, "data"), configFile, tokenFile };
}

async function startRemex({ dataDirectory, configFile }: Place): Promise<{
  readonly url: string;
  readonly clients: Clients;
  stop(): Promise<void>;
}> {
  const ports = ["--worker-port", "0", "--bridge-port", "0"];
  const remex = new RemexProcess(["start", "--data", dataDirectory, "--config", configFile, "--no-agent", ...ports]);
  onTestFinished(() => remex.kill());
  const url = await remex.printed(/^Worker +ready at (\S+?),/m);
  const transport = createNativeTransport(await remex.printed(/^Bridge +ready at grpc:\/\/(\S+)/m));
  onTestFinished(() => {
    transport.close();
  });
  const stop = async () => {
    transport.close();
    expect(await remex.stop(), remex.output).toBe(0);
  };
  return { url, clients: clientsOver(transport), stop };
}

/** `remex store` with an operator's token. */
function remexStore({ tokenFile }: Place, args: readonly string[], store = STORE): RemexProcess {
  const remex = new RemexProcess(["store", ...args, "--store", store, "--token-file", tokenFile]);
  onTestFinished(() => remex.kill());
  return remex;
}

type Bucket = Awaited<ReturnType<Miniflare["getR2Bucket"]>>;

/** Opens the bucket of a service that is stopped, as by hand. */
async function withBucket<T>({ dataDirectory }: Place, use: (bucket: Bucket) => Promise<T>): Promise<T> {
  const runtime = new Miniflare({
    cf: false,
    modules: true,
    script: "export default {}",
    r2Buckets: LOCAL_WORKER.r2Buckets,
    r2Persist: join(dataDirectory, "r2"),
  });
  try {
    return await use(await runtime.getR2Bucket("CAS"));
  } finally {
    await runtime.dispose();
  }
}

async function keyOf(bucket: Bucket, { digest }: Blob): Promise<string> {
  const { objects } = await bucket.list({ prefix: `${STORE}/sha256/${digest.hash}-` });
  expect(objects).toHaveLength(1);
  return objects[0]?.key ?? "";
}

/** A blob that is an object in R2. */
function objectBlob(): Blob {
  return blobOf(randomBytes(20_000));
}

function objectBlobs(count: number): Blob[] {
  return Array.from({ length: count }, objectBlob);
}

/** Blobs that are kept in rows of the index. */
function rowBlobs(count: number): Blob[] {
  return Array.from({ length: count }, () => blobOf(randomBytes(200)));
}

/** The hashes of those that are missing. */
async function missing({ cas }: Clients, blobs: readonly Blob[]): Promise<string[]> {
  const blobDigests = blobs.map(({ digest }) => digest);
  const { missingBlobDigests } = await cas.findMissingBlobs({ instanceName: INSTANCE, blobDigests });
  return missingBlobDigests.map(({ hash }) => hash);
}

async function expectReadable({ cas }: Clients, blobs: readonly Blob[]): Promise<void> {
  const digests = blobs.map(({ digest }) => digest);
  const { responses } = await cas.batchReadBlobs({ instanceName: INSTANCE, digests });
  const read = new Map(responses.map(({ digest, data }) => [digest?.hash, Buffer.from(data).toString("base64")]));
  expect(read).toEqual(new Map(blobs.map(({ digest, data }) => [digest.hash, Buffer.from(data).toString("base64")])));
}
