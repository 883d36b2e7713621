// A Worker and an object whose every operation is known, under the bench's counting.
import { DurableObject } from "cloudflare:workers";
import { countedBucket } from "../../../../bench/workers/counted-bucket.ts";
import { counts } from "../../../../bench/workers/counter.ts";
import { distantObjects } from "../../../../bench/workers/distant-objects.ts";
import { inInvocation } from "../../../../bench/workers/invocation.ts";
import { meterEvents, ObjectMeter, setMeter } from "../../../../bench/workers/object-meter.ts";

interface TestEnv {
  readonly BUCKET: R2Bucket;
  readonly OBJECT: DurableObjectNamespace<CountedNotes>;
}

const MEBIBYTE = 1 << 20;

class Notes extends DurableObject<object> {
  constructor(context: DurableObjectState, env: object) {
    super(context, env);
    context.storage.sql.exec("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)");
  }

  write(texts: readonly string[]): number {
    const { sql } = this.ctx.storage;
    for (const text of texts) sql.exec("INSERT INTO notes (text) VALUES (?)", text);
    return sql.exec("SELECT * FROM notes").toArray().length;
  }

  async remind(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + 3_600_000);
  }

  override alarm(): void {
    // It is only ever set.
  }

  fail(): void {
    throw new Error("as asked for");
  }

  override fetch(): Response {
    const [client, server] = Object.values(new WebSocketPair());
    if (client === undefined || server === undefined) throw new Error("a WebSocketPair has two ends");
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: string): void {
    socket.send(message);
  }
}

export class CountedNotes extends Notes {
  constructor(context: DurableObjectState, env: object) {
    const meter = new ObjectMeter(context, false);
    super(context, env);
    setMeter(this, meter);
  }
}
meterEvents(CountedNotes, Notes);

/** What the test can ask for, by path. Each answers with what it found out, if anything. */
const actions: Readonly<Record<string, (env: TestEnv) => Promise<unknown>>> = {
  "/r2": async ({ BUCKET }) => {
    const bucket = countedBucket(BUCKET, 0);
    await bucket.put("a", "12345");
    await bucket.head("a");
    const read = await bucket.get("a").then((object) => object?.text());
    await bucket.list();
    await bucket.delete("a");
    return read;
  },
  "/multipart": async ({ BUCKET }) => {
    const bucket = countedBucket(BUCKET, 0);
    const begun = await bucket.createMultipartUpload("b");
    const upload = bucket.resumeMultipartUpload("b", begun.uploadId);
    const parts = [
      await begun.uploadPart(1, new Uint8Array(5 * MEBIBYTE)),
      await upload.uploadPart(2, new Uint8Array(100)),
    ];
    await upload.complete(parts);
    const given = await bucket.createMultipartUpload("c");
    await given.abort();
    return (await BUCKET.head("b"))?.size;
  },
  "/write": ({ OBJECT }) => OBJECT.getByName("notes").write(["one", "two", "three"]),
  "/remind": ({ OBJECT }) => OBJECT.getByName("notes").remind(),
  "/fail": ({ OBJECT }) =>
    OBJECT.getByName("notes")
      .fail()
      .catch((error: unknown) => String(error)),
  "/socket": async ({ OBJECT }) => {
    const { webSocket } = await OBJECT.getByName("notes").fetch("https://object/", {
      headers: { upgrade: "websocket" },
    });
    if (webSocket === null) throw new Error("the object takes sockets");
    const { promise, resolve } = Promise.withResolvers<unknown>();
    webSocket.addEventListener("message", ({ data }) => {
      resolve(data);
    });
    webSocket.accept();
    webSocket.send("hello");
    const answer = await promise;
    webSocket.close();
    return answer;
  },
  "/six": async () => {
    let underWay = 0;
    let most = 0;
    const slow = {
      async get(): Promise<void> {
        most = Math.max(most, ++underWay);
        await scheduler.wait(5);
        underWay--;
      },
    };
    const bucket = countedBucket(slow, 1);
    await Promise.all(Array.from({ length: 20 }, () => bucket.get()));
    return most;
  },
  "/distant": ({ OBJECT }) => distantObjects(OBJECT, 1).getByName("notes").write([]),
};

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/counts") return Response.json(counts);
    const action = actions[pathname];
    if (action === undefined) return new Response(null, { status: 404 });
    return Response.json((await inInvocation(() => action(env))) ?? null);
  },
} satisfies ExportedHandler<TestEnv>;
