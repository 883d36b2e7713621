/** What a bridge holds at most, and how long it waits. Every field has a default that suits one build machine or team. */
export interface BridgeLimits {
  /** Connections of clients; further ones are closed at once. */
  readonly maxConnections: number;
  /** Calls in flight on one connection, as announced in the HTTP/2 settings; clients queue the others themselves. */
  readonly maxStreamsPerConnection: number;
  /**
   * Calls in flight in all, each of which holds a connection to the endpoint; further ones are RESOURCE_EXHAUSTED. As many to the bridge's own services, which hold none.
   */
  readonly maxCalls: number;
  /** A message of those few that the bridge reads whole; others are passed on as they come and have no limit here. */
  readonly maxMessageBytes: number;
  /** The endpoint's trailers of one call. */
  readonly maxTrailerBytes: number;
  /** What a client may send of one call before the endpoint has taken it: so much memory a call at most. */
  readonly streamWindowBytes: number;
  /** What is held beside of a message that is still coming, so that it is passed on in larger pieces, and of all calls' together. */
  readonly joinedMessageBytes: number;
  readonly joinedMessagesBytes: number;
  /**
   * How long a small ByteStream.Write or Read waits at most for others to be sent with, while some are on their way; 0
   * sends each alone.
   */
  readonly batchWindowMs: number;
  /** The largest blob that is sent with others. */
  readonly batchBlobBytes: number;
  /** Blobs in one BatchUpdateBlobs or BatchReadBlobs, and their bytes in all. */
  readonly batchBlobs: number;
  readonly batchBytes: number;
  /** Batches of one kind, instance and caller on their way at once; at the limit, blobs wait for one to come back. */
  readonly batchesInFlight: number;
  /**
   * What is held of the small outputs that are asked for with a cached action result, so that they can be read at once; 0
   * asks for none.
   */
  readonly outputMemoryBytes: number;
  /** How many of them are held, how large each may be, and for how long. */
  readonly outputMemoryBlobs: number;
  readonly outputMemoryBlobBytes: number;
  readonly outputMemoryMs: number;
  /** How long a blob counts as there once FindMissingBlobs said so, and how many are remembered; 0 ms asks each time. */
  readonly existenceTtlMs: number;
  readonly existenceBlobs: number;
  /** What is held of one FindMissingBlobs while it is answered so, and of all of them together; others are passed on. */
  readonly existenceRequestBytes: number;
  readonly existenceRequestsBytes: number;
  /** The largest request that the endpoint takes: a larger ByteStream.Write goes in several. */
  readonly maxRequestBytes: number;
  /** A ByteStream.Write of a larger blob is taken up again when its request breaks off. */
  readonly resumableUploadBytes: number;
  /** What is held of the latest data of such an upload, to be sent again, and of all of them together. */
  readonly uploadTailBytes: number;
  readonly uploadTailsBytes: number;
  /** How often such an upload is taken up again without getting any further. */
  readonly uploadAttempts: number;
  /** How long an unused connection to the endpoint is kept: one of HTTP/1.1, and one of HTTP/2. */
  readonly upstreamIdleMs: number;
  readonly upstreamHttp2IdleMs: number;
  /** Calls on one HTTP/2 connection to the endpoint; with more, another connection is opened. */
  readonly streamsPerUpstreamConnection: number;
  /** What the endpoint may send of one call over HTTP/2 before the client has taken it. */
  readonly upstreamWindowBytes: number;
  /** How often the other side of an HTTP/2 connection with calls is asked whether it is there; 0 for never. */
  readonly pingMs: number;
  readonly pingTimeoutMs: number;
  /** How long the endpoint may be silent in an Execute or WaitExecution; it repeats itself every 15 s at least. */
  readonly executionSilenceMs: number;
  /** How long a cut Execute or WaitExecution is taken up again, counted from the last message of a stream that was steady. */
  readonly resumeWindowMs: number;
  /** A stream that breaks off sooner is not steady, whatever it says: else one that only repeats itself would be followed for ever. */
  readonly steadyStreamMs: number;
  /** Pause before the first attempt to resume an execution or an upload, and before the second to repeat a call; each further one is twice as long on average, up to `resumePauseMaxMs`. */
  readonly resumePauseMs: number;
  readonly resumePauseMaxMs: number;
  /** How long the answer of the endpoint's `/healthz` holds, and how often a health Watch asks. */
  readonly healthProbeMs: number;
  /** How long a request to the bridge's own services may take to come. */
  readonly localRequestMs: number;
  /** How often a call that may be repeated is, after its connection failed. */
  readonly repeats: number;
  /** What is held of the request of such a call, to be sent again, and of all of them together. */
  readonly repeatableRequestBytes: number;
  readonly repeatableRequestsBytes: number;
  /** How often it is looked whether the bridge's own certificate was renewed. */
  readonly tlsRenewalMs: number;
  /** How long calls may go on after `close()`. */
  readonly shutdownGraceMs: number;
}

export const DEFAULT_LIMITS: BridgeLimits = {
  maxConnections: 512,
  maxStreamsPerConnection: 1000,
  maxCalls: 2000,
  maxMessageBytes: 64 * 1024 * 1024,
  maxTrailerBytes: 256 * 1024,
  streamWindowBytes: 256 * 1024,
  joinedMessageBytes: 128 * 1024,
  joinedMessagesBytes: 64 * 1024 * 1024,
  batchWindowMs: 3,
  // What the Worker keeps in a row of its index, unless told otherwise. Each larger blob is an object of its own, of which
  // a request stores six at a time: those are quicker alone.
  batchBlobBytes: 16 * 1024,
  batchBlobs: 500,
  // Half of what the Worker takes.
  batchBytes: 2 * 1024 * 1024,
  batchesInFlight: 16,
  outputMemoryBytes: 32 * 1024 * 1024,
  outputMemoryBlobs: 20_000,
  // What the Worker keeps in a row of its index, and so at hand.
  outputMemoryBlobBytes: 16 * 1024,
  outputMemoryMs: 30_000,
  existenceTtlMs: 0,
  // At about 200 bytes each.
  existenceBlobs: 250_000,
  // A hundred thousand digests.
  existenceRequestBytes: 8 * 1024 * 1024,
  // Digests that were read take about five times what they take in the request.
  existenceRequestsBytes: 16 * 1024 * 1024,
  // Cloudflare's plans end a request at 100 MB and above.
  maxRequestBytes: 95_000_000,
  // Up to here the Worker stores a blob in one step, which leaves nothing to be taken up.
  resumableUploadBytes: 8 * 1024 * 1024,
  // Two of the Worker's parts on their way, and what is between it and here.
  uploadTailBytes: 24 * 1024 * 1024,
  uploadTailsBytes: 256 * 1024 * 1024,
  uploadAttempts: 8,
  // Less than the 5 s after which workerd closes an idle connection, so that no call meets one that is being closed.
  upstreamIdleMs: 4000,
  upstreamHttp2IdleMs: 60_000,
  streamsPerUpstreamConnection: 100,
  upstreamWindowBytes: 512 * 1024,
  pingMs: 30_000,
  pingTimeoutMs: 20_000,
  executionSilenceMs: 45_000,
  resumeWindowMs: 120_000,
  steadyStreamMs: 1000,
  resumePauseMs: 250,
  resumePauseMaxMs: 5000,
  healthProbeMs: 5000,
  localRequestMs: 60_000,
  repeats: 2,
  // FindMissingBlobs of 10,000 digests.
  repeatableRequestBytes: 1024 * 1024,
  repeatableRequestsBytes: 64 * 1024 * 1024,
  tlsRenewalMs: 60_000,
  shutdownGraceMs: 10_000,
};
