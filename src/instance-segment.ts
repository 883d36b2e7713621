/** Stands for the instance without a name: no name has it, and a path can't have an empty segment. */
const UNNAMED = "~";

/** The segment of a URL's path that names an instance. */
export function instanceSegment(instanceName: string): string {
  return instanceName === "" ? UNNAMED : encodeURIComponent(instanceName);
}

/** The instance that a segment of a path, already decoded, stands for. */
export function instanceNameOf(segment: string): string {
  return segment === UNNAMED ? "" : segment;
}
