import { Code, ConnectError } from "@connectrpc/connect";
import { Hono } from "hono";
import { csrf } from "hono/csrf";
import { secureHeaders } from "hono/secure-headers";
import type { Env } from "../env.ts";
import { smallBody } from "../small-body.ts";
import type { PageContext } from "./page.tsx";
import { assetRoutes } from "./assets/routes.ts";
import { outputStream } from "./output/live-stream.tsx";
import { actionPage } from "./pages/action-page.tsx";
import { agentsPage, drainAction } from "./pages/agents-page.tsx";
import { filePage } from "./pages/file-page.tsx";
import { frontPage } from "./pages/front-page.tsx";
import { instancePage } from "./pages/instance-page.tsx";
import { invocationPage } from "./pages/invocation-page.tsx";
import { loginAction, loginPage, logoutAction } from "./pages/login-page.tsx";
import { operationPage } from "./pages/operation-page.tsx";
import { problemPage } from "./pages/problem-page.tsx";
import { inputTreePage, outputTreePage } from "./pages/tree-page.tsx";

/**
 * The pages for people: `/` and all below `/ui/`, which is no instance's name, so that no path of the HTTP cache is among
 * them.
 */
export const dashboardRoutes = new Hono<{ Bindings: Env }>();

const protect = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    styleSrc: ["'self'"],
    scriptSrc: ["'self'"],
    imgSrc: ["'self'"],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    baseUri: ["'none'"],
    frameAncestors: ["'none'"],
  },
  // Addresses of pages name builds: nobody else needs to know them.
  referrerPolicy: "same-origin",
  // Whether the endpoint is reached by TLS alone is not for its pages to say.
  strictTransportSecurity: false,
});

for (const path of ["/", "/login", "/logout", "/ui/*"]) {
  dashboardRoutes.use(path, protect, csrf(), smallBody, async (c, next) => {
    await next();
    if (!c.res.headers.has("cache-control")) c.header("cache-control", "private, no-store");
  });
}
dashboardRoutes.use("/dashboard.*", protect);

dashboardRoutes.route("/", assetRoutes);

dashboardRoutes.get("/", frontPage);
dashboardRoutes.get("/login", loginPage);
dashboardRoutes.post("/login", loginAction);
dashboardRoutes.post("/logout", logoutAction);

dashboardRoutes.get("/ui/:instance", instancePage);
dashboardRoutes.get("/ui/:instance/agents", agentsPage);
dashboardRoutes.post("/ui/:instance/agents/drain", drainAction);
dashboardRoutes.get("/ui/:instance/operations/:shard/:id", operationPage);
dashboardRoutes.get("/ui/:instance/operations/:shard/:id/:stream{stdout|stderr}", outputStream);
dashboardRoutes.get("/ui/:instance/invocations/:invocation", invocationPage);
dashboardRoutes.get("/ui/:instance/actions/:function/:hash/:size", actionPage);
dashboardRoutes.get("/ui/:instance/trees/:function/:hash/:size", inputTreePage);
dashboardRoutes.get("/ui/:instance/trees/:function/:hash/:size/:path{.+}", inputTreePage);
dashboardRoutes.get("/ui/:instance/output-trees/:function/:hash/:size", outputTreePage);
dashboardRoutes.get("/ui/:instance/output-trees/:function/:hash/:size/:path{.+}", outputTreePage);
dashboardRoutes.get("/ui/:instance/files/:function/:hash/:size/:name", filePage);

dashboardRoutes.get("/ui/*", (c: PageContext) =>
  problemPage(c, new ConnectError(`there is no page at ${c.req.path.slice(0, 256)}`, Code.NotFound)),
);

dashboardRoutes.onError((error, c: PageContext) => problemPage(c, error));
