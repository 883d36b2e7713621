import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  ExecuteOperationMetadataSchema,
  type ExecuteResponse,
  ExecuteResponseSchema,
  type ExecutionStage_Value as Stage,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Operation } from "../../../protos/gen/google/longrunning/operations_pb.ts";

/** A stream of Execute or WaitExecution, read state by state. */
export class ExecutionStream {
  readonly #states: AsyncIterator<Operation>;

  constructor(stream: AsyncIterable<Operation>) {
    this.#states = stream[Symbol.asyncIterator]();
  }

  async next(): Promise<Operation> {
    const next = await this.#states.next();
    if (next.done === true) throw new Error("the stream ended before the operation was done");
    return next.value;
  }

  /** Reads until the operation is at `stage`. */
  async until(stage: Stage): Promise<Operation> {
    for (;;) {
      const operation = await this.next();
      if (stageOf(operation) === stage) return operation;
    }
  }

  async done(): Promise<Operation> {
    for (;;) {
      const operation = await this.next();
      if (operation.done) return operation;
    }
  }

  async response(): Promise<ExecuteResponse> {
    const { result } = await this.done();
    const response = result.case === "response" ? anyUnpack(result.value, ExecuteResponseSchema) : undefined;
    if (response === undefined) throw new Error(`the operation ended with ${JSON.stringify(result)}`);
    return response;
  }
}

export function stageOf({ metadata }: Operation): Stage | undefined {
  return metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema)?.stage;
}
