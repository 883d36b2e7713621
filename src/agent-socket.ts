import type { Handler } from "hono";
import { authorizedInstance, callerOf } from "./access/authorized-instance.ts";
import type { Env } from "./env.ts";
import { instanceNameOf } from "./instance-segment.ts";
import { instanceStub } from "./instance-object/instance-objects.ts";

/** `GET /v1/instances/{instance}/agent?shard={number}`, where `~` is the instance without a name: an agent's WebSocket, handed on to the instance's object. */
export const agentSocketRoute: Handler<{ Bindings: Env }, "/v1/instances/:instance/agent"> = async (c) => {
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    return c.text("this is where agents connect by WebSocket\n", 426, { upgrade: "websocket" });
  }
  const { config } = authorizedInstance(
    c.env,
    await callerOf(c.env, c.req.raw.headers),
    instanceNameOf(c.req.param("instance")),
    "be-agent",
  );
  const shard = Number(c.req.query("shard") ?? "0");
  if (!Number.isInteger(shard) || shard < 0 || shard >= config.scheduler.shards) {
    return c.text(`instance "${config.name}" has ${config.scheduler.shards} scheduler shards, from 0 on\n`, 404);
  }
  const stub = instanceStub(c.env, { instanceName: config.name, shard });
  return stub.fetch("https://instance/agent", { headers: { upgrade: "websocket" } });
};
