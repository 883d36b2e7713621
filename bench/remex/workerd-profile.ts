import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import WebSocket from "ws";
import { z } from "zod";

/** A message of the inspector, as far as it is of interest here. */
const inspectorAnswer = z.object({
  id: z.number().optional(),
  result: z.object({ profile: z.unknown().optional() }).optional(),
  error: z.object({ message: z.string() }).optional(),
});
type InspectorAnswer = z.infer<typeof inspectorAnswer>;

/**
 * Begins a CPU profile of a Worker in workerd by its inspector.
 * @param inspectorUrl that of the Worker, `ws://host:port/{name}`
 * @returns what ends it and writes it to `path`, in the form that --cpu-prof writes too
 */
export async function profileWorkerd(inspectorUrl: URL, path: string): Promise<() => Promise<void>> {
  const socket = new WebSocket(inspectorUrl, { perMessageDeflate: false, maxPayload: 1 << 30 });
  await once(socket, "open");
  const pending = new Map<number, (answer: InspectorAnswer) => void>();
  socket.on("message", (data: Buffer) => {
    const answer = inspectorAnswer.parse(JSON.parse(data.toString("utf8")));
    if (answer.id !== undefined) pending.get(answer.id)?.(answer);
  });
  let calls = 0;
  const call = async (method: string, params: object = {}): Promise<InspectorAnswer> => {
    const id = ++calls;
    const { promise, resolve } = Promise.withResolvers<InspectorAnswer>();
    pending.set(id, resolve);
    socket.send(JSON.stringify({ id, method, params }));
    const answer = await promise;
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer;
  };
  await call("Profiler.enable");
  await call("Profiler.setSamplingInterval", { interval: 1000 });
  await call("Profiler.start");
  return async () => {
    const { result } = await call("Profiler.stop");
    await writeFile(path, JSON.stringify(result?.profile));
    socket.close();
  };
}
