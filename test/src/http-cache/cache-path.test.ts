import { expect, test } from "vitest";
import { parseCachePath } from "../../../src/http-cache/cache-path.ts";

test.each([
  ["/main/cas/00ff", { instanceName: "main", namespace: "cas", key: "00ff" }],
  ["/a/b/ac/00ff", { instanceName: "a/b", namespace: "ac", key: "00ff" }],
  ["/cas/00ff", { instanceName: "", namespace: "cas", key: "00ff" }],
  // ccache splits its keys, whose first two digits may be those of a namespace.
  ["/main/raw/ac/00ff", { instanceName: "main", namespace: "raw", key: "ac/00ff" }],
  // What WebDAV asks about before it stores the first value.
  ["/main/raw/", { instanceName: "main", namespace: "raw", key: "" }],
  ["/main/raw/a%20b", { instanceName: "main", namespace: "raw", key: "a%20b" }],
])("%s is a cache entry", (path, parsed) => {
  expect(parseCachePath(path)).toEqual(parsed);
});

test.each(["/", "/main", "/main/cas", "/main/cas/", "/main/casual/00ff", "/healthz"])("%s is none", (path) => {
  expect(parseCachePath(path)).toBeUndefined();
});
