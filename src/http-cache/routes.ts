import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { Hono } from "hono";
import { authorizedInstance, callerOf } from "../access/authorized-instance.ts";
import type { Caller } from "../access/caller.ts";
import type { Right } from "../access/roles.ts";
import { RequestBody } from "../connect/request-body.ts";
import type { Env } from "../env.ts";
import { reportedError } from "../errors/unexpected.ts";
import type { ServedInstance } from "../served-instance.ts";
import { findActionResult, storeActionResult } from "./action-results.ts";
import { type CachePath, type Namespace, parseCachePath } from "./cache-path.ts";
import { findByHash, storeByHash } from "./cas.ts";
import { findValue, storeValue } from "./raw.ts";
import { announcedLength, holdContent } from "./request-content.ts";
import { notFound, serveBlob } from "./serve-blob.ts";

/** What reading or writing in a namespace takes. The names of raw values are kept as action results. */
const RIGHTS: Readonly<Record<Namespace, { read: readonly [Right, ...Right[]]; write: readonly [Right, ...Right[]] }>> =
  {
    cas: { read: ["read-blobs"], write: ["write-blobs"] },
    ac: { read: ["read-action-results"], write: ["write-action-results"] },
    raw: { read: ["read-action-results", "read-blobs"], write: ["write-action-results", "write-blobs"] },
  };

/**
 * The cache for clients that speak plain HTTP: `/{instance_name}/cas/{hash}` and `/{instance_name}/ac/{hash}` as Bazel's
 * `--remote_cache=https://…` uses them, and `/{instance_name}/raw/{key}` for values that mean nothing to Remex.
 */
export const httpCacheRoutes = new Hono<{ Bindings: Env }>();

httpCacheRoutes.all("/*", async (c, next) => {
  const { raw: request } = c.req;
  const path = parseCachePath(c.req.path);
  if (path === undefined || request.method === "POST") return next();
  const caller = await callerOf(c.env, request.headers);
  switch (request.method) {
    case "GET":
    case "HEAD":
      return find(request, path, openInstance(c.env, caller, path, "read"));
    case "PUT":
      return store(request, path, openInstance(c.env, caller, path, "write"));
    default:
      return new Response("a cache entry has GET, HEAD and PUT\n", {
        status: 405,
        headers: { allow: "GET, HEAD, PUT" },
      });
  }
});

httpCacheRoutes.onError((error) => {
  const { code, rawMessage } = reportedError(error);
  const status = codeToHttpStatus(code);
  const headers = new Headers();
  // Some clients send a password only when they are asked for one.
  if (status === 401) headers.set("www-authenticate", 'Basic realm="Remex", charset="UTF-8"');
  if (status === 503) headers.set("retry-after", "1");
  return new Response(`${rawMessage}\n`, { status, headers });
});

function openInstance(
  env: Env,
  caller: Caller,
  { instanceName, namespace }: CachePath,
  access: "read" | "write",
): ServedInstance {
  const [right, ...others] = RIGHTS[namespace][access];
  for (const other of others) authorizedInstance(env, caller, instanceName, other);
  return authorizedInstance(env, caller, instanceName, right);
}

async function find(request: Request, { namespace, key }: CachePath, instance: ServedInstance): Promise<Response> {
  if (namespace === "ac") {
    const bytes = await findActionResult(instance, key);
    if (bytes === undefined) return notFound();
    const headers = { "content-type": "application/octet-stream", "content-length": String(bytes.length) };
    return new Response(request.method === "HEAD" ? null : bytes, { headers });
  }
  const digest = await (namespace === "cas" ? findByHash(instance, key) : findValue(instance, key));
  return digest === undefined ? notFound() : serveBlob(request, instance.blobs, digest);
}

async function store(request: Request, { namespace, key }: CachePath, instance: ServedInstance): Promise<Response> {
  const body = new RequestBody(request);
  try {
    const lengthBytes = announcedLength(request);
    if (lengthBytes === undefined) return new Response("a PUT needs Content-Length\n", { status: 411 });
    if (namespace === "cas") await storeByHash(instance, key, lengthBytes, body);
    else {
      const storeHeld = namespace === "ac" ? storeActionResult : storeValue;
      await holdContent(body, lengthBytes, (bytes) => storeHeld(instance, key, bytes));
    }
    return new Response(null, { status: 201 });
  } finally {
    // A client that is still sending would take an answer for a broken connection.
    await body.drain();
  }
}
