// The physical limit of Execute: a Worker and an object that hand an action over to an agent's socket, and hear its end.
import { DurableObject } from "cloudflare:workers";

interface BareDispatchEnv {
  readonly DISPATCHER: DurableObjectNamespace<Dispatcher>;
}

export class Dispatcher extends DurableObject<object> {
  readonly #waiting = new Map<number, (exitCode: string) => void>();
  #lastId = 0;

  constructor(context: DurableObjectState, env: object) {
    super(context, env);
    context.storage.sql.exec("CREATE TABLE IF NOT EXISTS actions (id INTEGER PRIMARY KEY, exit_code TEXT)");
  }

  /** The agent's socket. */
  override fetch(): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Has the agent run the command. Returns its exit code. */
  execute(): Promise<string> {
    const id = ++this.#lastId;
    this.ctx.storage.sql.exec("INSERT OR REPLACE INTO actions (id) VALUES (?)", id);
    const ended = new Promise<string>((resolve) => this.#waiting.set(id, resolve));
    for (const agent of this.ctx.getWebSockets()) agent.send(String(id));
    return ended;
  }

  override webSocketMessage(_agent: WebSocket, message: string): void {
    const [id, exitCode = ""] = message.split(" ");
    this.ctx.storage.sql.exec("UPDATE actions SET exit_code = ? WHERE id = ?", exitCode, Number(id));
    this.#waiting.get(Number(id))?.(exitCode);
    this.#waiting.delete(Number(id));
  }
}

export default {
  async fetch(request, { DISPATCHER }) {
    const dispatcher = DISPATCHER.getByName("dispatcher");
    if (request.headers.has("upgrade")) return dispatcher.fetch(request);
    return new Response(await dispatcher.execute());
  },
} satisfies ExportedHandler<BareDispatchEnv>;
