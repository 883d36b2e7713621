import type { Context } from "hono";
import { html } from "hono/html";
import type { Child } from "hono/jsx";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { authorizedInstance } from "../access/authorized-instance.ts";
import type { Caller } from "../access/caller.ts";
import type { Right } from "../access/roles.ts";
import type { Env } from "../env.ts";
import type { ServedInstance } from "../served-instance.ts";
import { Layout, type LayoutProps } from "./parts/layout.tsx";
import { instanceNameOf } from "../instance-segment.ts";
import { visitor } from "./session.ts";

export type PageContext<Path extends string = string> = Context<{ Bindings: Env }, Path>;

/** What every page of an instance begins with. */
export interface InstanceVisit extends ServedInstance {
  readonly caller: Caller;
}

/**
 * The instance that the path names, for a visitor who has the right there.
 * @throws what `authorizedInstance` does
 */
export async function visitInstance(c: PageContext, segment: string, right: Right): Promise<InstanceVisit> {
  const caller = await visitor(c);
  return { caller, ...authorizedInstance(c.env, caller, instanceNameOf(segment), right) };
}

/** How the frame calls the visitor; undefined for one without a token. */
export function visitorName({ authenticated, name }: Caller): string | undefined {
  return authenticated ? name : undefined;
}

/** A whole page. */
export function renderPage(
  c: PageContext,
  frame: Omit<LayoutProps, "children">,
  content: Child,
  status: ContentfulStatusCode = 200,
): Response | Promise<Response> {
  return c.html(html`<!doctype html>${(<Layout {...frame}>{content}</Layout>)}`, status);
}

/** Whether only what changes is asked for: the script does that, again and again. */
export function isRefresh(c: PageContext): boolean {
  return c.req.query("refresh") !== undefined;
}
