import { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { retryAfterMsOf } from "../../errors/retry-info.ts";
import { reportedError } from "../../errors/unexpected.ts";
import { type PageContext, renderPage } from "../page.tsx";
import { isLoggedIn, logOut } from "../session.ts";
import { LoginForm } from "./login-page.tsx";

const HEADINGS: ReadonlyMap<Code, string> = new Map([
  [Code.NotFound, "Not here any more, or never was"],
  [Code.PermissionDenied, "Not yours to see"],
  [Code.InvalidArgument, "There is no such page"],
  [Code.Unavailable, "Out of reach for a moment"],
  [Code.ResourceExhausted, "Too many requests"],
]);

/** What the check of forms throws, which is the only one to throw such an exception. */
const FOREIGN_FORM = new ConnectError("the form that was sent is not of a page of this site", Code.PermissionDenied);

/** gRPC codes whose usual HTTP status says something else of a page. */
const STATUSES: ReadonlyMap<Code, ContentfulStatusCode> = new Map([[Code.InvalidArgument, 404]]);

/** What a visitor gets in place of a page: why there is none, and what to do about it. */
export function problemPage(c: PageContext, error: unknown): Response | Promise<Response> {
  const reported = error instanceof HTTPException ? FOREIGN_FORM : reportedError(error);
  const { code, rawMessage } = reported;
  if (code === Code.Unauthenticated) {
    const hadToken = isLoggedIn(c);
    if (hadToken) logOut(c);
    const { pathname, search } = new URL(c.req.method === "GET" ? c.req.url : new URL("/", c.req.url));
    return renderPage(
      c,
      { title: "Log in" },
      <LoginForm
        problem={hadToken ? "The token that this browser kept is not accepted any more." : rawMessage.split(";")[0]}
        next={pathname + search}
      />,
      401,
    );
  }
  const retryAfterMs = retryAfterMsOf(reported);
  if (retryAfterMs !== undefined) c.header("retry-after", String(Math.ceil(retryAfterMs / 1000)));
  const spent = code === Code.ResourceExhausted && retryAfterMs !== undefined;
  const heading = spent ? "Too many requests" : (HEADINGS.get(code) ?? "That went wrong");
  return renderPage(
    c,
    { title: heading },
    <>
      <h1>{heading}</h1>
      <p class="problem">{sentence(rawMessage)}</p>
      <p>
        <a href="/">All instances</a>
      </p>
    </>,
    spent ? 429 : (STATUSES.get(code) ?? statusOf(code)),
  );
}

function statusOf(code: Code): ContentfulStatusCode {
  switch (codeToHttpStatus(code)) {
    case 403:
      return 403;
    case 404:
      return 404;
    case 429:
      return 429;
    case 503:
      return 503;
    default:
      return 500;
  }
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
