import http from "node:http";
import { text } from "node:stream/consumers";
import { join } from "node:path";
import { closedLoop, type Operation } from "../load/closed-loop.ts";
import { NodePart } from "../remex/node-part.ts";
import { startWorkerd } from "../remex/workerd.ts";
import { NOOP_COMMAND } from "../scenarios/execute-noop.ts";
import type { Baseline } from "./baseline.ts";

/**
 * The command of `execute-noop` by way of everything that any such service needs, and no more: a Worker, an object that
 * writes a row when the action comes and when it ends, a socket, and a Node process that spawns the command.
 * @param slots how many at once
 */
export async function bareDispatch(bundles: string, directory: string, slots: number): Promise<Baseline> {
  const worker = await startWorkerd({
    script: join(bundles, "bare-dispatch-worker.js"),
    dataDirectory: directory,
    worker: { durableObjects: { DISPATCHER: { className: "Dispatcher", useSQLite: true } } },
  });
  const socketUrl = worker.url.href.replace("http", "ws");
  const { part } = await NodePart.start(join(bundles, "bare-dispatch.js"), [socketUrl, NOOP_COMMAND], /^(ready)$/, []);
  const agent = new http.Agent({ keepAlive: true });

  const execute: Operation = async () => {
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    http.get(worker.url, { agent }, resolve).on("error", reject);
    const exitCode = await text(await promise);
    if (exitCode !== "0") throw new Error(`${NOOP_COMMAND} ended with ${exitCode}`);
    return undefined;
  };

  return {
    name: "bare dispatch",
    operation: `${NOOP_COMMAND}, dispatched by a bare Worker and object and spawned by Node, ${slots} at once`,
    pid: worker.pid,
    run: (_scenario, operations) => closedLoop(new Array<Operation>(operations).fill(execute), slots),
    async stop() {
      agent.destroy();
      await part.stop();
      await worker.stop();
    },
  };
}
