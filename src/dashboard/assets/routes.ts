import { Hono } from "hono";
import { etag } from "hono/etag";
import type { Env } from "../../env.ts";
import script from "./dashboard.client.js";
import style from "./dashboard.css";
import icon from "./icon.ts";

/** What pages load. It holds nothing secret, and is asked for again with each page, to be told that nothing has changed. */
export const assetRoutes = new Hono<{ Bindings: Env }>();

const ASSETS = [
  { path: "/dashboard.css", type: "text/css; charset=utf-8", text: style },
  { path: "/dashboard.js", type: "text/javascript; charset=utf-8", text: script },
  { path: "/dashboard.svg", type: "image/svg+xml", text: icon },
];

for (const { path, text, type } of ASSETS) {
  assetRoutes.get(path, etag(), (c) => c.body(text, 200, { "content-type": type, "cache-control": "no-cache" }));
}
