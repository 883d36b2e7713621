/** The largest message that REAPI clients accept unless told otherwise: gRPC's default. What we send stays below it. */
export const MAX_MESSAGE_BYTES = 4 << 20;

/**
 * The largest request message that is read into memory. Twice what clients accept from us, since a batch at its limit of
 * blob bytes comes with a digest for each of its blobs.
 */
export const MAX_REQUEST_MESSAGE_BYTES = 8 << 20;

/**
 * How many bytes of blobs a batch may hold, in either direction: room is left for a thousand digests and statuses. A batch
 * of more blobs has room for fewer bytes of them.
 */
export const MAX_BATCH_BYTES = MAX_MESSAGE_BYTES - (128 << 10);

/** How long a lease may take beside its command, for inputs and outputs: agents bound their transfers by it. */
export const LEASE_OVERHEAD_S = 30 * 60;

/**
 * The range of ResultsCachePolicy.priority, either way. Each step is an hour by which an action result is evicted later or
 * earlier, so this is a year; what is beyond counts as this.
 */
export const MOST_CACHE_PRIORITY = 8760;
