import { open, type FileHandle } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import {
  AgentMessageSchema,
  OutputRequest_Stream as Stream,
  type OutputRequest,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { Link } from "./held-leases.ts";
import { errorMessage, systemErrorCode } from "../system-error.ts";

/** How often a file is looked at whose reader has read all of it. */
const LOOK_INTERVAL_MS = 100;

/** The most that one answer holds, whatever is asked for. */
const MAX_CHUNK_BYTES = 256 * 1024;

/** Readers that wait at once; one more is answered as if the command had ended. */
const MAX_WAITING = 1000;

/** What a reader waits for: the last of its requests. */
interface Waiting {
  request: OutputRequest;
  link: Link;
}

/** The files of a running command's output streams. */
export interface OutputFiles {
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

/**
 * Answers requests for what running commands have written. Nothing is read that nobody asks for: each request is answered
 * once, by what there is after its offset, as soon as there is anything. A reader that asks again while it waits, by the
 * same request id, waits for that alone: it asks every so often for as long as a command is silent.
 */
export class LiveOutput {
  readonly #logger: Logger;
  readonly #running = new Map<string, OutputFiles>();
  /** By request id. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  begin(leaseId: string, files: OutputFiles): void {
    this.#running.set(leaseId, files);
  }

  /** From now on nothing is added to the lease's files, and they may be gone. */
  end(leaseId: string): void {
    this.#running.delete(leaseId);
  }

  /** Resolves when the request is answered, or has taken the place of one that waits. */
  async answer(request: OutputRequest, link: Link): Promise<void> {
    const { requestId } = request;
    const waiting = this.#waiting.get(requestId);
    if (waiting !== undefined) {
      Object.assign(waiting, { request, link });
      return;
    }
    if (this.#waiting.size >= MAX_WAITING) {
      reply({ request, link }, new Uint8Array());
      return;
    }
    const begun: Waiting = { request, link };
    this.#waiting.set(requestId, begun);
    let data = new Uint8Array();
    try {
      data = await this.#written(begun);
    } catch (error) {
      // The reader gets the rest with the result.
      this.#logger.warn(
        { leaseId: request.leaseId, error: errorMessage(error) },
        "cannot read a running command's output",
      );
    } finally {
      this.#waiting.delete(requestId);
    }
    reply(begun, data);
  }

  /** What is in the file after the offset that is waited for; empty once the command has ended. */
  async #written(waiting: Waiting): Promise<Uint8Array<ArrayBuffer>> {
    for (;;) {
      const { request } = waiting;
      const files = this.#running.get(request.leaseId);
      if (files === undefined) return new Uint8Array();
      const path = request.stream === Stream.STDERR ? files.stderrPath : files.stdoutPath;
      const limit = Math.min(Math.max(request.limit, 1), MAX_CHUNK_BYTES);
      const data = await readPart(path, Number(request.offset), limit);
      if (waiting.request !== request) continue;
      if (data.length > 0) return data;
      await delay(LOOK_INTERVAL_MS, undefined, { ref: false });
    }
  }
}

function reply({ request: { offset, requestId }, link }: Waiting, data: Uint8Array<ArrayBuffer>): void {
  const value = { requestId, offset, data, end: data.length === 0 };
  link.send(toBinary(AgentMessageSchema, create(AgentMessageSchema, { message: { case: "output", value } })));
}

/** Empty where the file isn't there yet, or not that long. */
async function readPart(path: string, offset: number, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  let file: FileHandle;
  try {
    file = await open(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return new Uint8Array();
    throw error;
  }
  try {
    const buffer = new Uint8Array(limit);
    const { bytesRead } = await file.read(buffer, 0, limit, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
