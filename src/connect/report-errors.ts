import type { Interceptor } from "@connectrpc/connect";
import { reportedError } from "../errors/unexpected.ts";

/** Turns whatever a service throws into what a client may see of it. */
export const reportErrors: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: reporting(response.message) } : response;
  } catch (error) {
    throw reportedError(error);
  }
};

async function* reporting<T>(messages: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  try {
    yield* messages;
  } catch (error) {
    throw reportedError(error);
  }
}
