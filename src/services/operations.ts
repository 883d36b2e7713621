import { create, fromBinary } from "@bufbuild/protobuf";
import { durationMs, EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  ListOperationsResponseSchema,
  type Operation,
  OperationSchema,
  type Operations,
} from "../../protos/gen/google/longrunning/operations_pb.ts";
import { authorizedInstance, type Who } from "../access/authorized-instance.ts";
import type { Env } from "../env.ts";
import { parseOperationFilter } from "../execution/operation-filter.ts";
import { callInstance, locateOperation, unknownOperationError } from "../instance-object/instance-objects.ts";
import { watchOperation } from "../instance-object/watch-operation.ts";

const PAGE_OPERATIONS = { default: 100, most: 1000 };

export function operationsService(env: Env): ServiceImpl<typeof Operations> {
  return {
    async getOperation({ name }, context) {
      return getOperation(env, context, name);
    },

    async listOperations({ filter, name, pageSize, pageToken }, context) {
      const wanted = parseOperationFilter(filter);
      const instanceName = name.replace(/(^|\/)operations$/, "");
      const { config } = authorizedInstance(env, context, instanceName, "see-operations");
      const size = Math.min(pageSize > 0 ? pageSize : PAGE_OPERATIONS.default, PAGE_OPERATIONS.most);
      let { shard, token } = parsePageToken(pageToken, config.scheduler.shards);
      for (;;) {
        const from = token;
        const object = { instanceName: config.name, shard };
        const bytes = await callInstance(env, object, (stub) => stub.listOperations(size, from, wanted));
        const page = fromBinary(ListOperationsResponseSchema, bytes);
        const inThisShard = page.nextPageToken !== "";
        const more = inThisShard || shard + 1 < config.scheduler.shards;
        if (inThisShard) page.nextPageToken = `${shard}/${page.nextPageToken}`;
        else if (more) page.nextPageToken = `${shard + 1}/`;
        // A shard without any would be a page without any, which people take for the end.
        if (page.operations.length > 0 || inThisShard || !more) return page;
        shard += 1;
        token = "";
      }
    },

    async cancelOperation({ name }, context) {
      const operation = locateOperation(env, context, name, "see-operations");
      const known = await callInstance(env, operation, (stub) => stub.cancelOperation(operation.id));
      if (!known) throw unknownOperationError(name);
      return create(EmptySchema);
    },

    async deleteOperation({ name }, context) {
      const operation = locateOperation(env, context, name, "see-operations");
      const outcome = await callInstance(env, operation, (stub) => stub.deleteOperation(operation.id));
      if (outcome === "unknown") throw unknownOperationError(name);
      if (outcome === "live") {
        throw new ConnectError(`operation ${name} has not ended; cancel it first`, Code.FailedPrecondition);
      }
      return create(EmptySchema);
    },

    async waitOperation({ name, timeout }, context) {
      const operation = locateOperation(env, context, name, "see-operations");
      const over = timeout === undefined ? new AbortController().signal : AbortSignal.timeout(durationMs(timeout));
      let last: Operation | undefined;
      const attach = { case: "attach" as const, value: { operationName: name } };
      for await (const state of watchOperation(env, operation, attach, over)) last = state;
      return last ?? getOperation(env, context, name);
    },
  };
}

/** A page token is the shard and what that shard's object goes on from. */
function parsePageToken(pageToken: string, shards: number): { shard: number; token: string } {
  if (pageToken === "") return { shard: 0, token: "" };
  const [, shard, token] = /^(\d{1,4})\/([0-9a-f-]{0,36})$/.exec(pageToken) ?? [];
  if (shard === undefined || token === undefined || Number(shard) >= shards) {
    throw new ConnectError(
      `page_token ${JSON.stringify(pageToken.slice(0, 128))} is none of ours`,
      Code.InvalidArgument,
    );
  }
  return { shard: Number(shard), token };
}

async function getOperation(env: Env, who: Who, name: string): Promise<Operation> {
  const operation = locateOperation(env, who, name, "see-operations");
  const bytes = await callInstance(env, operation, (stub) => stub.getOperation(operation.id));
  if (bytes === undefined) throw unknownOperationError(name);
  return fromBinary(OperationSchema, bytes);
}
