import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { authenticate } from "../access/authenticate.ts";
import { callerWith } from "../access/authorized-instance.ts";
import type { Caller } from "../access/caller.ts";
import { servedConfig } from "../config/served-config.ts";
import type { Env } from "../env.ts";

const COOKIE = "remex_token";

/** How long a browser keeps the token. One that the configuration takes back is refused at once all the same. */
const MAX_AGE_S = 30 * 24 * 3600;

type PageContext = Context<{ Bindings: Env }>;

/**
 * Who looks at a page: by its Authorization header, as everywhere, else by the token that the browser keeps since the login.
 * The cookie means nothing to RPCs: it is only looked at here.
 *
 * @throws ConnectError UNAUTHENTICATED if either is not accepted, RESOURCE_EXHAUSTED if its quota is spent
 */
export function visitor(c: PageContext): Promise<Caller> {
  const token = getCookie(c, COOKIE);
  const authorization = c.req.header("authorization") ?? (token === undefined ? null : `Bearer ${token}`);
  return callerWith(c.env, authorization);
}

/** @throws ConnectError UNAUTHENTICATED if the token is not accepted */
export async function logIn(c: PageContext, token: string): Promise<void> {
  await authenticate(servedConfig(c.env).access, `Bearer ${token}`);
  setCookie(c, COOKIE, token, {
    path: "/",
    httpOnly: true,
    secure: new URL(c.req.url).protocol === "https:",
    // Not Strict: who follows a link from a chat would be asked to log in each time. What changes anything is a POST, with
    // which no other site's page has the cookie sent.
    sameSite: "Lax",
    maxAge: MAX_AGE_S,
  });
}

export function logOut(c: PageContext): void {
  deleteCookie(c, COOKIE, { path: "/" });
}

/** Whether the browser keeps a token. */
export function isLoggedIn(c: PageContext): boolean {
  return getCookie(c, COOKIE) !== undefined;
}
