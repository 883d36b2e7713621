/** What follows the instance name in the path of a cache entry. No instance name has such a segment. */
export const NAMESPACES = ["cas", "ac", "raw"] as const;

export type Namespace = (typeof NAMESPACES)[number];

/** Where a cache entry is: `/{instance_name}/{namespace}/{key}`. */
export interface CachePath {
  readonly instanceName: string;
  readonly namespace: Namespace;
  /**
   * A hash in `cas` and `ac`; in `raw` whatever the client chose, which may have slashes, as it is in the path. Empty for
   * the namespace `raw` itself.
   */
  readonly key: string;
}

/** Parses a URL's path; undefined if it is not that of a cache entry. The instance name may have slashes, or be absent. */
export function parseCachePath(path: string): CachePath | undefined {
  const segments = path.slice(1).split("/");
  for (const [position, segment] of segments.entries()) {
    const namespace = NAMESPACES.find((candidate) => candidate === segment);
    if (namespace === undefined) continue;
    const key = segments.slice(position + 1).join("/");
    if (key === "" && namespace !== "raw") return undefined;
    return { instanceName: segments.slice(0, position).join("/"), namespace, key };
  }
  return undefined;
}
