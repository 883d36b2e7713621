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

/** Requests that wait at once; one more is answered as if the command had ended. */
const MAX_WAITING = 1000;

/** The files of a running command's output streams. */
export interface OutputFiles {
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

/**
 * Answers requests for what running commands have written. Nothing is read that nobody asks for: each request is answered
 * once, by what there is after its offset, as soon as there is anything.
 */
export class LiveOutput {
  readonly #logger: Logger;
  readonly #running = new Map<string, OutputFiles>();
  #waiting = 0;

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

  async answer({ leaseId, limit, offset, requestId, stream }: OutputRequest, link: Link): Promise<void> {
    let data = new Uint8Array();
    if (this.#waiting < MAX_WAITING) {
      this.#waiting += 1;
      try {
        data = await this.#written(leaseId, stream, Number(offset), Math.min(Math.max(limit, 1), MAX_CHUNK_BYTES));
      } catch (error) {
        // The reader gets the rest with the result.
        this.#logger.warn({ leaseId, error: errorMessage(error) }, "cannot read a running command's output");
      } finally {
        this.#waiting -= 1;
      }
    }
    const value = { requestId, offset, data, end: data.length === 0 };
    link.send(toBinary(AgentMessageSchema, create(AgentMessageSchema, { message: { case: "output", value } })));
  }

  /** What is in the file after `offset`; empty once the command has ended. */
  async #written(leaseId: string, stream: Stream, offset: number, limit: number): Promise<Uint8Array<ArrayBuffer>> {
    for (;;) {
      const files = this.#running.get(leaseId);
      if (files === undefined) return new Uint8Array();
      const data = await readPart(stream === Stream.STDERR ? files.stderrPath : files.stdoutPath, offset, limit);
      if (data.length > 0) return data;
      await delay(LOOK_INTERVAL_MS, undefined, { ref: false });
    }
  }
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
