import type { ServedInstance } from "../served-instance.ts";
import { findValue } from "./raw.ts";
import { notFound } from "./serve-content.ts";

/** Clients of WebDAV want to be told when a value last changed, which is not recorded. */
const LAST_MODIFIED = new Date(0).toUTCString();

/**
 * The answer to PROPFIND, as WebDAV clients ask whether something is there before they use it (RFC 4918, section 9.1).
 * Keys need no directories: whatever ends in a slash is a collection that exists, and what is in it is not listed.
 */
export async function describeKey(request: Request, instance: ServedInstance, key: string): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (isCollection(key)) return multiStatus(pathname, "<D:resourcetype><D:collection/></D:resourcetype>");
  const value = await findValue(instance, key);
  if (value === undefined) return notFound();
  const { digest } = value;
  return multiStatus(
    pathname,
    "<D:resourcetype/>" +
      `<D:getcontentlength>${digest.sizeBytes}</D:getcontentlength>` +
      `<D:getetag>"${digest.hash}"</D:getetag>`,
  );
}

/** Whether a key is that of a WebDAV collection: the namespace itself, or something that ends in a slash. */
export function isCollection(key: string): boolean {
  return key === "" || key.endsWith("/");
}

/** @param properties those of the one resource, as XML */
function multiStatus(pathname: string, properties: string): Response {
  const body =
    '<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:"><D:response>' +
    `<D:href>${pathname.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</D:href>` +
    `<D:propstat><D:prop>${properties}<D:getlastmodified>${LAST_MODIFIED}</D:getlastmodified></D:prop>` +
    "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>\n";
  return new Response(body, { status: 207, headers: { "content-type": "application/xml; charset=utf-8" } });
}
