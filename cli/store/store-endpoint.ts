import type { z } from "zod";
import { errorMessage, Fault } from "../fault.ts";

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
  const url = `${endpoint.href.replace(/\/$/, "")}/v1/stores/${encodeURIComponent(store)}/${what}`;
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, { ...init, headers, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
    text = await response.text();
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new Fault(`${url} can't be reached (${errorMessage(cause)}); check --endpoint`);
  }
  if (response.status === 401 || response.status === 403) {
    throw new Fault(`the endpoint refuses: ${text.trim()}. Give an operator's token with --token-file`);
  }
  if (!response.ok) throw new Fault(`the endpoint refuses (HTTP ${response.status}): ${text.trim()}`);
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success) throw new Fault(`${url} answers what is none: is it a Remex Worker of this version?`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
