import { Hono } from "hono";
import { authorizedInstance, callerOf } from "../access/authorized-instance.ts";
import type { Caller } from "../access/caller.ts";
import type { Right } from "../access/roles.ts";
import { CHUNK_BYTES, type CountBytes, RequestBody } from "../connect/request-body.ts";
import type { Env } from "../env.ts";
import { openCallOf } from "../memory/open-calls.ts";
import { refusalResponse } from "../errors/refusal-response.ts";
import { reportedError } from "../errors/unexpected.ts";
import { chargeUpload } from "../quota/charge.ts";
import type { ServedInstance } from "../served-instance.ts";
import { MAX_BODY_BYTES } from "../small-body.ts";
import { findActionResult, storeActionResult } from "./action-results.ts";
import { answerQuery } from "./artifact-query.ts";
import { type CachePath, type Namespace, parseCachePath } from "./cache-path.ts";
import { findBlob, storeBlob } from "./cas.ts";
import { findValue, forgetValue, storeValue } from "./raw.ts";
import { announcedLength, holdContent } from "./request-content.ts";
import { contentOfBlob, contentOfBytes, notFound, serveContent } from "./serve-content.ts";
import { addKeptHeaders, enabled, isEvents, isQuery, isStatus, keptHeaders, preflight } from "./turborepo.ts";
import { describeKey, isCollection } from "./webdav.ts";

type Access = "read" | "write";

const CACHE_METHODS: readonly [string, Access][] = [
  ["GET", "read"],
  ["HEAD", "read"],
  ["PUT", "write"],
];

/** The methods of each namespace, and what they do there. */
const METHODS: Readonly<Record<Namespace, ReadonlyMap<string, Access>>> = {
  cas: new Map(CACHE_METHODS),
  ac: new Map(CACHE_METHODS),
  raw: new Map([...CACHE_METHODS, ["DELETE", "write"], ["PROPFIND", "read"], ["MKCOL", "write"], ["OPTIONS", "read"]]),
};

/** What reading or writing in a namespace takes. The names of raw values are kept as action results. */
const RIGHTS: Readonly<Record<Namespace, Readonly<Record<Access, readonly [Right, ...Right[]]>>>> = {
  cas: { read: ["read-blobs"], write: ["write-blobs"] },
  ac: { read: ["read-action-results"], write: ["write-action-results"] },
  raw: { read: ["read-action-results", "read-blobs"], write: ["write-action-results", "write-blobs"] },
};

/**
 * The cache for clients that speak plain HTTP: `/{instance_name}/cas/{hash}` and `/{instance_name}/ac/{hash}` as Bazel's
 * `--remote_cache=https://…` uses them, and `/{instance_name}/raw/{key}` for values that mean nothing to Remex, with as
 * much of WebDAV and of Turborepo's remote cache as caches use of them.
 */
export const httpCacheRoutes = new Hono<{ Bindings: Env }>();

httpCacheRoutes.all("/*", async (c, next) => {
  const { raw: request } = c.req;
  const path = parseCachePath(c.req.path);
  if (path === undefined) return next();
  const isPost = request.method === "POST";
  // Calls of methods that don't exist get their answer elsewhere.
  if (isPost && !(path.namespace === "raw" && (isEvents(path.key) || isQuery(path.key)))) return next();
  const methods = METHODS[path.namespace];
  const access = isPost ? "read" : methods.get(request.method);
  if (access === undefined) {
    const allowed = allowedMethods(path.namespace);
    return new Response(`a cache entry has ${allowed}\n`, { status: 405, headers: { allow: allowed } });
  }
  const caller = await callerOf(c.env, request.headers);
  const instance = openInstance(c.env, caller, path, access);
  return answer(request, path, instance, caller.name, (bytes) => chargeUpload(c.env, caller, bytes));
});

httpCacheRoutes.onError((error) => {
  const response = refusalResponse(reportedError(error));
  // Some clients send a password only when they are asked for one.
  if (response.status === 401) response.headers.set("www-authenticate", 'Basic realm="Remex", charset="UTF-8"');
  return response;
});

function allowedMethods(namespace: Namespace): string {
  return [...METHODS[namespace].keys()].join(", ");
}

function openInstance(
  env: Env,
  caller: Caller,
  { instanceName, namespace }: CachePath,
  access: Access,
): ServedInstance {
  const [right, ...others] = RIGHTS[namespace][access];
  for (const other of others) authorizedInstance(env, caller, instanceName, other);
  return authorizedInstance(env, caller, instanceName, right);
}

async function answer(
  request: Request,
  path: CachePath,
  instance: ServedInstance,
  callerName: string,
  count: CountBytes,
): Promise<Response> {
  // A request without a length is refused, or has no body.
  const release = await openCallOf(Math.min(announcedLength(request) ?? 0, CHUNK_BYTES), callerName);
  const body = new RequestBody(request, count);
  try {
    switch (request.method) {
      case "PUT":
        return await store(request, body, path, instance, callerName);
      case "POST":
        if (isQuery(path.key)) return await query(request, body, path.key, instance, callerName);
        // Hits and misses are counted where they are looked up.
        return new Response(null, { status: 204 });
      case "OPTIONS":
        return preflight(allowedMethods(path.namespace));
      case "DELETE":
        await forgetValue(instance, path.key);
        return new Response(null, { status: 204 });
      case "PROPFIND":
        return await describeKey(request, instance, path.key);
      case "MKCOL":
        // Collections need no making.
        return new Response(null, { status: 201 });
      default:
        return await find(request, path, instance);
    }
  } finally {
    // A client that is still sending would take an answer for a broken connection.
    await body.drain();
    release();
  }
}

async function find(request: Request, { namespace, key }: CachePath, instance: ServedInstance): Promise<Response> {
  if (namespace === "ac") {
    const bytes = await findActionResult(instance, key);
    return bytes === undefined ? notFound() : serveContent(request, contentOfBytes(bytes));
  }
  if (namespace === "cas") {
    const digest = await findBlob(instance, key);
    return digest === undefined ? notFound() : serveContent(request, contentOfBlob(instance.blobs, digest));
  }
  if (isStatus(key)) return enabled();
  const value = await findValue(instance, key);
  if (value === undefined) return notFound();
  const response = await serveContent(request, contentOfBlob(instance.blobs, value.digest));
  if (response.ok) addKeptHeaders(response, value.properties);
  return response;
}

async function query(
  request: Request,
  body: RequestBody,
  key: string,
  instance: ServedInstance,
  callerName: string,
): Promise<Response> {
  const lengthBytes = announcedLength(request);
  if (lengthBytes === undefined) return new Response("a query needs Content-Length\n", { status: 411 });
  if (lengthBytes > MAX_BODY_BYTES)
    return new Response(`a query has at most ${MAX_BODY_BYTES} bytes\n`, { status: 413 });
  return holdContent(body, lengthBytes, callerName, (bytes) => answerQuery(instance, key, bytes));
}

async function store(
  request: Request,
  body: RequestBody,
  { namespace, key }: CachePath,
  instance: ServedInstance,
  callerName: string,
): Promise<Response> {
  const lengthBytes = announcedLength(request);
  if (lengthBytes === undefined) return new Response("a PUT needs Content-Length\n", { status: 411 });
  if (namespace === "raw" && isCollection(key)) {
    return new Response("a key does not end in a slash\n", { status: 405, headers: { allow: "PROPFIND, MKCOL" } });
  }
  if (namespace === "cas") await storeBlob(instance, key, lengthBytes, body);
  else if (namespace === "ac") {
    await holdContent(body, lengthBytes, callerName, (bytes) => storeActionResult(instance, key, bytes));
  } else {
    const kept = keptHeaders(request.headers);
    await holdContent(body, lengthBytes, callerName, (bytes) => storeValue(instance, key, bytes, kept));
  }
  return new Response(null, { status: 201 });
}
