import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { reportedError } from "../errors/unexpected.ts";
import { executionLogFields } from "../execution/log-fields.ts";
import { requestMetadata } from "../execution/request-metadata.ts";
import { callLogKey } from "./call-log.ts";

/** Turns whatever a service throws into what a client may see of it, and has the log say of which call it was. */
export const reportErrors: Interceptor = (next) => async (request) => {
  const about = () => aboutCall(request);
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: reporting(response.message, about) } : response;
  } catch (error) {
    throw reportedError(error, about);
  }
};

async function* reporting<T>(messages: AsyncIterable<T>, about: () => object): AsyncGenerator<T, void, undefined> {
  try {
    yield* messages;
  } catch (error) {
    throw reportedError(error, about);
  }
}

interface Call {
  readonly method: { readonly name: string };
  readonly header: Headers;
  readonly contextValues: ContextValues;
}

function aboutCall({ contextValues, header, method }: Call): object {
  const invocation = requestMetadata(header)?.toolInvocationId;
  return {
    method: method.name,
    ...executionLogFields(undefined, undefined, invocation),
    ...contextValues.get(callLogKey),
  };
}
