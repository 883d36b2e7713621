import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { endpointAgent } from "./endpoint-agent.ts";

export interface Question {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole of the answer. */
  readonly timeoutMs: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/**
 * Asks an endpoint something whose answer is a text, through the environment's proxy where it names one. Follows no
 * redirection.
 * @throws if there is no answer: ProxyError, ProxyVariableError, or an error of the network
 */
export async function askEndpoint(url: URL, question: Question): Promise<Answer> {
  const { method = "GET", headers = {}, body, timeoutMs } = question;
  const agent = endpointAgent(url);
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const request = (url.protocol === "https:" ? https : http).request(url, { agent, method, headers, signal });
    request.once("response", resolve);
    request.once("error", reject);
    request.end(body);
    const response = await promise;
    return { status: response.statusCode ?? 0, headers: response.headers, text: await text(response) };
  } catch (error) {
    if (signal.aborted) throw new Error(`no answer within ${timeoutMs / 1000} s`, { cause: error });
    throw error;
  } finally {
    agent.destroy();
  }
}
