import { once } from "node:events";
import WebSocket from "ws";
import { z } from "zod";

const answerSchema = z.object({
  id: z.number().optional(),
  result: z.unknown().optional(),
  error: z.object({ message: z.string() }).optional(),
});
type Answer = z.infer<typeof answerSchema>;

/** The inspector of a Worker in workerd: of its isolate, in which its objects are, too. */
export class Inspector {
  readonly #socket: WebSocket;
  readonly #pending = new Map<number, (answer: Answer) => void>();
  #calls = 0;

  /** @param url that of the Worker, `ws://host:port/{name}` */
  static async connect(url: URL): Promise<Inspector> {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 1 << 30 });
    await once(socket, "open");
    return new Inspector(socket);
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      const answer = answerSchema.parse(JSON.parse(data.toString("utf8")));
      if (answer.id === undefined) return;
      this.#pending.get(answer.id)?.(answer);
      this.#pending.delete(answer.id);
    });
  }

  /**
   * Calls a method of the protocol.
   * @throws Error with what the inspector says against it
   */
  async call<T>(method: string, params: object, result: z.ZodType<T>): Promise<T> {
    const id = ++this.#calls;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#pending.set(id, resolve);
    this.#socket.send(JSON.stringify({ id, method, params }));
    const answer = await promise;
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return result.parse(answer.result);
  }

  close(): void {
    this.#socket.close();
  }
}
