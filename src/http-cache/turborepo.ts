import { Code, ConnectError } from "@connectrpc/connect";
import type { NamedBlob } from "./named-blobs.ts";

/**
 * What Turborepo's remote cache has beside values that are put and got: `{any path}/v8/artifacts/…` below the namespace
 * `raw`. Its client is told `{endpoint}/{instance_name}/raw/turbo` as TURBO_API.
 */

const TAG = "x-artifact-tag";
const DURATION = "x-artifact-duration";

/** What a client says of an artifact, and wants to hear again with it: its signature, and how long the task took, in ms. */
const ARTIFACT_HEADERS = [TAG, DURATION] as const;

/** As many characters as the API's own description allows a signature. */
const MAX_HEADER_CHARACTERS = 600;

/**
 * What else its client sends with a request, which it asks for first where it is told to (`--preflight`). It shows its token
 * only if it finds the word as it is written here.
 */
const CLIENT_HEADERS = ["Authorization", "Content-Type", "User-Agent", "x-artifact-client-ci"] as const;

/** Whether a key is that of the API's status: whether the caller may use the cache. */
export function isStatus(key: string): boolean {
  return isEndpoint(key, "status");
}

/** Whether a key is that of hits and misses that a client wants counted. */
export function isEvents(key: string): boolean {
  return isEndpoint(key, "events");
}

function isEndpoint(key: string, name: string): boolean {
  return `/${key}`.endsWith(`/v8/artifacts/${name}`);
}

/** Whether a key is that of all artifacts, where many can be asked for at once. */
export function isQuery(key: string): boolean {
  return `/${key}`.endsWith("/v8/artifacts");
}

/** What is said of an artifact to who asks for many. */
export interface ArtifactDescription {
  /** In bytes. */
  readonly size: number;
  /** 0 if that was not said. */
  readonly taskDurationMs: number;
  readonly tag?: string;
}

export function describeArtifact({ digest, properties }: NamedBlob): ArtifactDescription {
  const duration = properties.get(DURATION) ?? "";
  const tag = properties.get(TAG);
  return {
    size: digest.sizeBytes,
    taskDurationMs: /^\d{1,15}(?:\.\d+)?$/.test(duration) ? Number(duration) : 0,
    ...(tag !== undefined && { tag }),
  };
}

/** The answer to who may read: whoever may not was refused before. */
export function enabled(): Response {
  return Response.json({ status: "enabled" });
}

/** The answer to OPTIONS: what a request may have. It says nothing of origins, so that it opens nothing to browsers. */
export function preflight(allowedMethods: string): Response {
  const headers = [...CLIENT_HEADERS, ...ARTIFACT_HEADERS].join(", ");
  return new Response(null, {
    status: 204,
    headers: {
      allow: allowedMethods,
      "access-control-allow-methods": allowedMethods,
      "access-control-allow-headers": headers,
    },
  });
}

/**
 * What is to be kept with a value, from the headers of its PUT.
 * @throws ConnectError INVALID_ARGUMENT naming a header that is too long
 */
export function keptHeaders(headers: Headers): Map<string, string> {
  const kept = new Map<string, string>();
  for (const name of ARTIFACT_HEADERS) {
    const value = headers.get(name);
    if (value === null) continue;
    if (value.length > MAX_HEADER_CHARACTERS) {
      throw new ConnectError(
        `${name} has ${value.length} characters; at most ${MAX_HEADER_CHARACTERS} are kept`,
        Code.InvalidArgument,
      );
    }
    kept.set(name, value);
  }
  return kept;
}

/** Adds to an answer what was kept with its value. */
export function addKeptHeaders(response: Response, kept: ReadonlyMap<string, string>): void {
  for (const name of ARTIFACT_HEADERS) {
    const value = kept.get(name);
    if (value !== undefined) response.headers.set(name, value);
  }
}
