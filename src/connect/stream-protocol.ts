import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  contentTypeStreamJson,
  contentTypeStreamProto,
  createEndStreamSerialization,
  endStreamFlag,
} from "@connectrpc/connect/protocol-connect";
import {
  contentTypeRegExp,
  setTrailerStatus,
  trailerFlag,
  trailerSerialize,
} from "@connectrpc/connect/protocol-grpc-web";

/** How a stream's frames end. Both protocols put messages into the same envelopes, of flags, length and message. */
export interface StreamProtocol {
  /** The last frame of a stream: with `error`, or of one that went well. */
  endFrame(error?: ConnectError): Uint8Array;
}

const GRPC_WEB: StreamProtocol = {
  endFrame: (error) => encodeEnvelope(trailerFlag, trailerSerialize(setTrailerStatus(new Headers(), error))),
};

const connectEnd = createEndStreamSerialization({});

const CONNECT: StreamProtocol = {
  endFrame: (error) =>
    encodeEnvelope(endStreamFlag, connectEnd.serialize({ metadata: new Headers(), ...(error && { error }) })),
};

/** The protocol of streams with this content type, or undefined if it is none's. */
export function streamProtocolOf(contentType: string): StreamProtocol | undefined {
  if (contentTypeRegExp.test(contentType)) return GRPC_WEB;
  const [type = ""] = contentType.split(";");
  return type === contentTypeStreamProto || type === contentTypeStreamJson ? CONNECT : undefined;
}
