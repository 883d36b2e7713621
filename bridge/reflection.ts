import { createRegistry, type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "../protos/gen/google/rpc/error_details_pb.ts";
import type { ServerReflection, ServerReflectionRequest } from "../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import type {
  ServerReflection as ServerReflectionV1Alpha,
  ServerReflectionRequest as ServerReflectionRequestV1Alpha,
} from "../protos/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { SERVED_SERVICES } from "./served-services.ts";

type MessageRequest = (ServerReflectionRequest | ServerReflectionRequestV1Alpha)["messageRequest"];
/** The answer to one request: the same messages in both versions of the protocol. */
type MessageResponse =
  | { readonly case: "fileDescriptorResponse"; readonly value: { readonly fileDescriptorProto: Uint8Array[] } }
  | {
      readonly case: "allExtensionNumbersResponse";
      readonly value: { readonly baseTypeName: string; readonly extensionNumber: number[] };
    }
  | { readonly case: "listServicesResponse"; readonly value: { readonly service: { readonly name: string }[] } }
  | { readonly case: "errorResponse"; readonly value: { readonly errorCode: number; readonly errorMessage: string } };

/** By path, as imports name it. The error details are in no service's imports, but clients look into statuses. */
const FILES: ReadonlyMap<string, DescFile> = new Map(
  [...SERVED_SERVICES.map(({ file }) => file), file_google_rpc_error_details]
    .flatMap(withImports)
    .map((file) => [file.proto.name, file]),
);

const REGISTRY = createRegistry(...FILES.values());

/** grpc.reflection.v1: what can be called here, with its types. */
export const reflection: ServiceImpl<typeof ServerReflection> = { serverReflectionInfo: answerEach };

/** grpc.reflection.v1alpha, which is the same but for its name. */
export const reflectionV1Alpha: ServiceImpl<typeof ServerReflectionV1Alpha> = { serverReflectionInfo: answerEach };

async function* answerEach<Request extends ServerReflectionRequest | ServerReflectionRequestV1Alpha>(
  requests: AsyncIterable<Request>,
) {
  for await (const request of requests) {
    const messageResponse = answerReflection(request.messageRequest);
    yield { validHost: request.host, originalRequest: request, messageResponse };
  }
}

/** A file is answered with all that it imports, so that a client needs no second question. */
export function answerReflection(request: MessageRequest): MessageResponse {
  switch (request.case) {
    case "listServices":
      return {
        case: "listServicesResponse",
        value: { service: SERVED_SERVICES.map(({ typeName }) => ({ name: typeName })) },
      };
    case "fileByFilename": {
      const file = FILES.get(request.value);
      return file === undefined ? refusal(Code.NotFound, `no file is named "${request.value}"`) : descriptors(file);
    }
    case "fileContainingSymbol": {
      const file = fileOfSymbol(request.value.replace(/^\./, ""));
      return file === undefined ? refusal(Code.NotFound, `no symbol is named "${request.value}"`) : descriptors(file);
    }
    case "allExtensionNumbersOfType":
      return REGISTRY.getMessage(request.value) === undefined
        ? refusal(Code.NotFound, `no message is named "${request.value}"`)
        : { case: "allExtensionNumbersResponse", value: { baseTypeName: request.value, extensionNumber: [] } };
    case "fileContainingExtension":
      return refusal(Code.NotFound, `"${request.value.containingType}" has no extensions; proto3 knows none`);
    case undefined:
      return refusal(Code.InvalidArgument, "the request asks for nothing that this server knows; set message_request");
  }
}

function refusal(code: Code, message: string): MessageResponse {
  return { case: "errorResponse", value: { errorCode: code, errorMessage: message } };
}

function descriptors(file: DescFile): MessageResponse {
  const files = new Set(withImports(file));
  return {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto: Array.from(files, ({ proto }) => toBinary(FileDescriptorProtoSchema, proto)) },
  };
}

/** The file and then, directly or not, its imports; some perhaps more than once. */
function withImports(file: DescFile): DescFile[] {
  return [file, ...file.dependencies.flatMap(withImports)];
}

/** The file that defines a type, or a type's member: a service's method, a message's field or oneof, an enum's value. */
function fileOfSymbol(symbol: string): DescFile | undefined {
  const type = REGISTRY.get(symbol);
  if (type !== undefined) {
    return type.file;
  }
  const dot = symbol.lastIndexOf(".");
  const owner = REGISTRY.get(symbol.slice(0, Math.max(dot, 0)));
  return owner !== undefined && memberNames(owner).includes(symbol.slice(dot + 1)) ? owner.file : undefined;
}

function memberNames(type: NonNullable<ReturnType<typeof REGISTRY.get>>): string[] {
  switch (type.kind) {
    case "service":
      return type.methods.map(({ name }) => name);
    case "message":
      return [...type.fields, ...type.oneofs].map(({ name }) => name);
    case "enum":
      return type.values.map(({ name }) => name);
    case "extension":
      return [];
  }
}
