import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  status as grpcStatus,
  type StatusObject,
} from "@grpc/grpc-js";
import { StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import { statusError } from "./outcome.ts";

/**
 * The clients of Connect over a real native gRPC stack (HTTP/2, @grpc/grpc-js), so that one test can drive both. Errors
 * are ConnectErrors, with the details that `grpc-status-details-bin` brings.
 */
export interface NativeTransport extends Transport {
  close(): void;
}

/** @param address `host:port`, spoken to without TLS */
export function createNativeTransport(address: string): NativeTransport {
  const client = new Client(address, credentials.createInsecure());
  return {
    async unary(method, signal, timeoutMs, header, input) {
      const call = start(client, method, signal, timeoutMs, header);
      call.write(input);
      call.end();
      const messages: MessageShape<typeof method.output>[] = [];
      for await (const message of received(call)) messages.push(message);
      const [message] = messages;
      if (message === undefined || messages.length > 1) {
        throw new Error(`${method.name} is unary and answered ${messages.length} messages`);
      }
      return { stream: false, service: method.parent, method, message, header: new Headers(), trailer: new Headers() };
    },
    stream(method, signal, timeoutMs, header, input) {
      const call = start(client, method, signal, timeoutMs, header);
      void send(call, input);
      const message = received(call);
      const response = { service: method.parent, method, message, header: new Headers(), trailer: new Headers() };
      return Promise.resolve({ ...response, stream: true });
    },
    close: () => {
      client.close();
    },
  };
}

function start<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O> | DescMethodStreaming<I, O>,
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
  header: unknown,
): ClientDuplexStream<MessageInitShape<I>, MessageShape<O>> {
  const metadata = new Metadata();
  if (header instanceof Headers) {
    header.forEach((value, name) => {
      metadata.set(name, value);
    });
  }
  const call = client.makeBidiStreamRequest<MessageInitShape<I>, MessageShape<O>>(
    `/${method.parent.typeName}/${method.name}`,
    (message) => Buffer.from(toBinary(method.input, create(method.input, message))),
    // Else its bytes fields would be Buffers, which equal no Uint8Array.
    (bytes) => fromBinary(method.output, new Uint8Array(bytes)),
    metadata,
    timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
  );
  signal?.addEventListener("abort", () => {
    call.cancel();
  });
  return call;
}

async function send<T>(call: ClientDuplexStream<T, unknown>, messages: AsyncIterable<T>): Promise<void> {
  for await (const message of messages) {
    if (call.destroyed) return;
    if (!call.write(message)) {
      // A call that has ended takes nothing more; its status is what the reader gets.
      await new Promise<void>((resolve) => call.once("drain", resolve).once("close", resolve));
    }
  }
  call.end();
}

/** The messages of the call; at their end its status, thrown unless it is OK. */
function received<T>(call: ClientDuplexStream<never, T>): AsyncIterable<T> {
  // Listened to from now on, since the call may end before anybody reads.
  const status = new Promise<StatusObject>((resolve) => call.once("status", resolve));
  call.on("error", () => undefined);
  return untilStatus(call, status);
}

async function* untilStatus<T>(call: ClientDuplexStream<never, T>, status: Promise<StatusObject>): AsyncGenerator<T> {
  try {
    for await (const message of call) yield message;
  } catch {
    // It is what the status says.
  }
  const ended = await status;
  if (ended.code === grpcStatus.OK) return;
  const [details] = ended.metadata.get("grpc-status-details-bin");
  throw statusError({
    code: ended.code,
    message: ended.details,
    details: details instanceof Uint8Array ? fromBinary(StatusSchema, details).details : [],
  });
}
