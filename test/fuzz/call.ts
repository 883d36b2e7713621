import { create, type DescMessage, type DescMethod, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Answer } from "./answer.ts";
import { envelope } from "./generators/envelopes.ts";
import { sendRaw } from "./raw-request.ts";

/** Where to call, and as whom. */
export interface Endpoint {
  readonly url: string;
  readonly token: string;
}

/** Calls a method with one message over gRPC-Web, and reads no more of the answer than its end. */
export function call<I extends DescMessage>(
  endpoint: Endpoint,
  method: DescMethod & { readonly input: I },
  message: MessageInitShape<I>,
): Promise<Answer> {
  return callWithFrames(endpoint, method, envelope(toBinary(method.input, create(method.input, message))));
}

export function callWithFrames({ token, url }: Endpoint, method: DescMethod, body: Uint8Array): Promise<Answer> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/grpc-web+proto" };
  return sendRaw(url, { method: "POST", path: `/${method.parent.typeName}/${method.name}`, headers, body });
}
