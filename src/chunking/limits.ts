import { AVERAGE_CHUNK_BYTES } from "./fast-cdc.ts";

/**
 * How many chunks a blob may have to be split or spliced in one call: each is one or two operations of a store, of which
 * `wrangler.toml` allows 50,000 (`limits.subrequests`), and their digests are one message, of at most 4 MiB.
 */
export const MAX_CHUNKS = 20_000;

/** What that many chunks are on average: about 10 GiB. */
export const MAX_SPLIT_BYTES = MAX_CHUNKS * AVERAGE_CHUNK_BYTES;

/** How much of chunks is read or stored at once. */
export const CHUNK_BATCH_BYTES = 4 << 20;
