import type { z } from "zod";
import { type Answer, askEndpoint } from "../../endpoint/ask-endpoint.ts";
import { describeError } from "../../endpoint/describe-error.ts";
import { Fault } from "../fault.ts";

/** A part of a check reads a thousand objects, and looks some up. */
const TIMEOUT_MS = 120_000;

/** A store of an endpoint. */
export interface StoreEndpoint {
  readonly endpoint: URL;
  readonly token: string | undefined;
  readonly store: string;
}

/**
 * Asks the operator's routes of a store.
 * @param what the last segment of the path
 * @param body undefined for a GET
 * @throws Fault if the endpoint can't be reached, refuses, or answers something else
 */
export async function askStore<T>(
  { endpoint, store, token }: StoreEndpoint,
  what: string,
  body: unknown,
  schema: z.ZodType<T>,
): Promise<T> {
  const url = new URL(`${endpoint.href.replace(/\/$/, "")}/v1/stores/${encodeURIComponent(store)}/${what}`);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const question = body === undefined ? {} : { method: "POST" as const, body: JSON.stringify(body) };
  let answer: Answer;
  try {
    answer = await askEndpoint(url, { ...question, headers, timeoutMs: TIMEOUT_MS });
  } catch (error) {
    throw new Fault(`${url.href} can't be reached (${describeError(error)}); check --endpoint`);
  }
  const { status, text } = answer;
  if (status === 401 || status === 403) {
    throw new Fault(`the endpoint refuses: ${text.trim()}. Give an operator's token with --token-file`);
  }
  if (status < 200 || status > 299) throw new Fault(`the endpoint refuses (HTTP ${status}): ${text.trim()}`);
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success) throw new Fault(`${url.href} answers what is none: is it a Remex Worker of this version?`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
