import { once } from "node:events";
import WebSocket from "ws";
import { z } from "zod";
import type { TestWorker } from "./worker.ts";

const answerSchema = z.object({ id: z.number().optional(), result: z.unknown() });
const usageSchema = z.object({ usedSize: z.number(), backingStorageSize: z.number() });

/** How often an isolate that has nothing to do is given something: only then it hears the inspector. */
const POKE_MS = 200;

/** What the isolate of a Worker that is `inspected` holds when its garbage has been collected: heap and array buffers. */
export async function heldBytes(worker: TestWorker): Promise<number> {
  const socket = new WebSocket(await worker.inspectorUrl(), { perMessageDeflate: false });
  const poking = setInterval(() => {
    void fetch(`${worker.url}/healthz`)
      .then((response) => response.text())
      .catch(() => undefined);
  }, POKE_MS);
  try {
    await once(socket, "open");
    const call = async (id: number, method: string) => {
      socket.send(JSON.stringify({ id, method, params: {} }));
      for (;;) {
        const messages: unknown[] = await once(socket, "message");
        const answer = answerSchema.parse(JSON.parse(String(messages[0])));
        if (answer.id === id) return answer.result;
      }
    };
    await call(1, "HeapProfiler.collectGarbage");
    const { usedSize, backingStorageSize } = usageSchema.parse(await call(2, "Runtime.getHeapUsage"));
    return usedSize + backingStorageSize;
  } finally {
    clearInterval(poking);
    socket.close();
  }
}
