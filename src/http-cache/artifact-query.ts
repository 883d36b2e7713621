import { Code, ConnectError } from "@connectrpc/connect";
import { z } from "zod";
import { mapBounded } from "../batching/map-bounded.ts";
import type { ServedInstance } from "../served-instance.ts";
import { findValue } from "./raw.ts";
import { describeArtifact } from "./turborepo.ts";

/** How many artifacts may be asked for at once: each is a call of an object or two. */
const MAX_HASHES = 1000;

const MAX_LOOK_UPS_AT_ONCE = 16;

const querySchema = z.object({ hashes: z.array(z.string().min(1)).max(MAX_HASHES) });

/**
 * The answer to `POST …/v8/artifacts`: what is known of each artifact that is asked for, by its hash; null where there is
 * none.
 * @param key of the collection that the artifacts are in
 * @param query JSON: `{"hashes": ["…", …]}`
 * @throws ConnectError INVALID_ARGUMENT if it is something else, or asks for too many
 */
export async function answerQuery(instance: ServedInstance, key: string, query: Uint8Array): Promise<Response> {
  const { hashes } = parseQuery(query);
  const artifacts = await mapBounded([...new Set(hashes)], MAX_LOOK_UPS_AT_ONCE, async (hash) => {
    const value = await findValue(instance, `${key}/${encodeURIComponent(hash)}`);
    return [hash, value === undefined ? null : describeArtifact(value)] as const;
  });
  return Response.json(Object.fromEntries(artifacts));
}

function parseQuery(query: Uint8Array): z.infer<typeof querySchema> {
  const parsed = querySchema.safeParse(parseJson(query));
  if (parsed.success) return parsed.data;
  throw new ConnectError(
    `a query is JSON: {"hashes": […]}, with at most ${MAX_HASHES} hashes, none of them empty`,
    Code.InvalidArgument,
  );
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
