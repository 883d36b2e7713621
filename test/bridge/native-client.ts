import {
  type DescMessage,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  create,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import { onTestFinished } from "vitest";

export type { ServiceError } from "@grpc/grpc-js";

/** How a call ended, with all that the client saw. */
export interface Ending<Response> {
  readonly headers: Metadata | undefined;
  readonly messages: Response[];
  readonly status: StatusObject;
}

interface Options extends CallOptions {
  readonly metadata?: Record<string, string | Buffer>;
}

/** The gRPC client that Node programs use, over native HTTP/2, with protobuf-es messages. */
export class NativeClient {
  readonly #client: Client;

  /** @param target a port of this machine, or an address as gRPC writes them */
  constructor(target: number | string, trust: ChannelCredentials = credentials.createInsecure()) {
    this.#client = new Client(typeof target === "number" ? `127.0.0.1:${target}` : target, trust, {
      // Connections are not shared between tests.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
      "grpc.enable_retries": 0,
      // What the environment says of proxies is for what is tested.
      "grpc.enable_http_proxy": 0,
    });
    onTestFinished(() => {
      this.#client.close();
    });
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: Options = {},
  ): Promise<Ending<MessageShape<O>>> {
    return new Promise((resolve) => {
      const messages: MessageShape<O>[] = [];
      let headers: Metadata | undefined;
      const call = this.#client.makeUnaryRequest(
        pathOf(method),
        encoder(method.input),
        decoder(method.output),
        request,
        metadataOf(options),
        options,
        (_error: ServiceError | null, response?: MessageShape<O>) => {
          if (response !== undefined) {
            messages.push(response);
          }
        },
      );
      call.once("metadata", (received: Metadata) => (headers = received));
      call.once("status", (status: StatusObject) => {
        resolve({ headers, messages, status });
      });
    });
  }

  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options: Options = {},
  ): ClientReadableStream<MessageShape<O>> {
    const call = this.#client.makeServerStreamRequest(
      pathOf(method),
      encoder(method.input),
      decoder(method.output),
      request,
      metadataOf(options),
      options,
    );
    // The status says the same.
    call.on("error", () => undefined);
    return call;
  }

  /** Reads a server stream to its end. */
  readAll<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options: Options = {},
  ): Promise<Ending<MessageShape<O>>> {
    return new Promise((resolve) => {
      const messages: MessageShape<O>[] = [];
      let headers: Metadata | undefined;
      this.serverStream(method, request, options)
        .once("metadata", (received: Metadata) => (headers = received))
        .on("data", (message: MessageShape<O>) => messages.push(message))
        .once("status", (status: StatusObject) => {
          resolve({ headers, messages, status });
        });
    });
  }

  /** A call with many requests: the stream to write to, and its ending. */
  clientStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
    options: Options = {},
  ) {
    const messages: MessageShape<O>[] = [];
    let headers: Metadata | undefined;
    const call = this.#client.makeClientStreamRequest(
      pathOf(method),
      encoder(method.input),
      decoder(method.output),
      metadataOf(options),
      options,
      (_error: ServiceError | null, response?: MessageShape<O>) => {
        if (response !== undefined) {
          messages.push(response);
        }
      },
    );
    call.once("metadata", (received: Metadata) => (headers = received));
    const ending = new Promise<Ending<MessageShape<O>>>((resolve) => {
      call.once("status", (status: StatusObject) => {
        resolve({ headers, messages, status });
      });
    });
    return { call, ending };
  }
}

function pathOf(method: { readonly parent: { readonly typeName: string }; readonly name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encoder<M extends DescMessage>(schema: M): (message: MessageInitShape<M>) => Buffer {
  return (message) => Buffer.from(toBinary(schema, create(schema, message)));
}

function decoder<M extends DescMessage>(schema: M): (bytes: Buffer) => MessageShape<M> {
  return (bytes) => fromBinary(schema, bytes);
}

function metadataOf({ metadata = {} }: Options): Metadata {
  const result = new Metadata();
  for (const [name, value] of Object.entries(metadata)) {
    result.set(name, value);
  }
  return result;
}
