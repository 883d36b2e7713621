import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { Readable, Writable } from "node:stream";

/** The endpoint as calls see it, whichever version of HTTP carries them: one gRPC-Web request each. */
export interface Upstream {
  readonly endpoint: URL;

  /** To be awaited, where it is a promise, before a call is started: until it is known how to. It never rejects. */
  ready(): Promise<void> | undefined;

  /**
   * Starts a call.
   * @param path `/{package.Service}/{Method}`
   */
  call(path: string, headers: OutgoingHttpHeaders): UpstreamCall;

  /** Whether GET `/healthz` answers 200 within `timeoutMs`. */
  isHealthy(timeoutMs: number): Promise<boolean>;

  /** Ends every connection, and with them the calls that are left. */
  close(): void;
}

export interface UpstreamCall {
  /** Takes gRPC frames. Its errors are those of `response` or of the response's body, and reported only there. */
  readonly requestBody: Writable;

  /** The head of the response; rejects if the connection fails before it, or is aborted. */
  readonly response: Promise<UpstreamResponse>;

  /** Gives the call up: `response` or its body fails with `reason`. Does nothing to one that is over. */
  abort(reason?: Error): void;
}

export interface UpstreamResponse {
  readonly httpStatus: number;
  readonly headers: IncomingHttpHeaders;
  /** gRPC-Web frames. Emits an error if the connection is lost or aborted before the end. */
  readonly body: Readable;
}
