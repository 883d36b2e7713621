import { randomUUID } from "node:crypto";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { CONNECTION_PER_CALL } from "../connection-per-call.ts";
import { blobOf } from "../e2e/action.ts";
import { connectClients } from "../src/clients.ts";
import { toError } from "../../src/errors/to-error.ts";
import { Violation } from "./violation.ts";

/** Another tenant: it stores and reads a blob, over and over, and nothing that others do may keep it from that. */
export class Bystander {
  #rounds = 0;
  #onRound: () => void = () => undefined;
  readonly #url: string;
  readonly #token: string;
  readonly #instanceName: string;
  #going = false;
  #loop: Promise<void> = Promise.resolve();
  #failure: Error | undefined;

  constructor(url: string, instanceName: string, token: string) {
    this.#url = url;
    this.#instanceName = instanceName;
    this.#token = token;
  }

  start(): void {
    this.#going = true;
    this.#loop = this.#goOn();
  }

  /** @throws Violation if anything went wrong */
  async stop(): Promise<void> {
    this.#going = false;
    await this.#loop;
    if (this.#failure !== undefined) throw new Violation(`another tenant was disturbed: ${this.#failure.message}`);
  }

  /** Resolves after some more rounds, or when something went wrong. */
  async afterMoreRounds(count: number): Promise<void> {
    const end = this.#rounds + count;
    while (this.#rounds < end && this.#failure === undefined) {
      await new Promise<void>((resolve) => (this.#onRound = resolve));
    }
  }

  async #goOn(): Promise<void> {
    try {
      do {
        await this.#once();
        this.#rounds += 1;
        this.#onRound();
      } while (this.#going);
    } catch (error) {
      this.#failure = toError(error);
      this.#onRound();
    }
  }

  async #once(): Promise<void> {
    const { cas } = connectClients(
      this.#url,
      createGrpcWebTransport({
        baseUrl: this.#url,
        ...CONNECTION_PER_CALL,
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${this.#token}`);
            return next(request);
          },
        ],
      }),
    );
    const instanceName = this.#instanceName;
    const blob = blobOf(randomUUID());
    await cas.batchUpdateBlobs({ instanceName, requests: [blob] });
    const { responses } = await cas.batchReadBlobs({ instanceName, digests: [blob.digest] });
    const [read] = responses;
    if (read === undefined || !Buffer.from(read.data).equals(blob.data)) throw new Error("its blob was not there");
  }
}
