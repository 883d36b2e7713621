import { z } from "zod";
import { ROLES } from "../access/roles.ts";
import { NAMESPACES } from "../http-cache/cache-path.ts";

/** The most CacheShard objects that a store may have. */
export const MAX_SHARDS = 256;

const positiveInt = z.int().positive();
const seconds = z.number().positive();

const propertyKind = z.enum(["exact", "minimum", "priority", "ignore"]);

/** Where objects are made and kept. */
export const placeSchema = z.strictObject({
  location_hint: z
    .enum(["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"])
    .optional()
    .describe(
      "The part of the world where its objects are made; they stay where they were made. Without it that is near whoever " +
        "calls first.",
    ),
  jurisdiction: z
    .enum(["eu", "fedramp"])
    .optional()
    .describe(
      "Where its objects must run and keep their data. They are other objects then: set it before the first use. The bucket's " +
        "own is set in wrangler.toml. The objects of quotas are where all instances and stores are that say it, if they agree.",
    ),
});

/** What a scheduler may be told; durations in seconds. */
export const schedulerSchema = z.strictObject({
  supported_platform_properties: z
    .record(z.string(), propertyKind)
    .default({})
    .describe(
      "How each platform property is matched, by its name. exact: the agent has this very value. minimum: the agent has " +
        "at least this many, and running actions use them up. priority: the agent has the property, with any value. " +
        "ignore: it is not looked at.",
    ),
  unlisted_properties: z
    .enum(["exact", "ignore", "reject"])
    .default("exact")
    .describe(
      "What becomes of a property that supported_platform_properties does not list: it is matched as exact, it is " +
        "ignored, or the action is refused with INVALID_ARGUMENT.",
    ),
  max_job_retries: z
    .int()
    .nonnegative()
    .default(3)
    .describe(
      "How often an action is queued again after its agent was lost or failed, before the client gets INTERNAL.",
    ),
  worker_timeout_s: seconds
    .default(60)
    .describe("How long an agent may be silent before its actions are queued again."),
  retain_completed_for_s: seconds
    .default(300)
    .describe("How long a completed operation can still be found by WaitExecution and GetOperation."),
  client_action_timeout_s: seconds
    .default(60)
    .describe("How long an action goes on with no client waiting for it, before it is cancelled."),
  max_action_timeout_s: seconds
    .default(3600)
    .describe("The highest time limit that an action may ask for; above it is INVALID_ARGUMENT."),
  default_action_timeout_s: seconds.default(1200).describe("The time limit of an action that asks for none."),
  no_worker_timeout_s: seconds
    .default(30)
    .describe("How long an action that no connected agent could ever run is kept before RESOURCE_EXHAUSTED."),
  failure_memory_s: seconds
    .default(30)
    .describe("How long an action that spent its attempts, or a platform that nobody serves, is refused at once."),
  max_queued_actions: positiveInt
    .default(50_000)
    .describe("How many actions may wait in one scheduler object; one more is refused with RESOURCE_EXHAUSTED."),
  max_history_actions: z
    .int()
    .min(0)
    .default(20_000)
    .describe(
      "How many actions that have ended the dashboard can still show, for each scheduler object; the oldest are forgotten.",
    ),
  shards: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe(
      "How many scheduler objects share the queue, by action digest; agents connect to each. Operations of shards that are taken away are no longer found.",
    ),
  missing_action_code: z
    .enum(["NOT_FOUND", "FAILED_PRECONDITION"])
    .default("NOT_FOUND")
    .describe(
      "What Execute says when the action itself is not in the CAS. Bazel uploads again on FAILED_PRECONDITION.",
    ),
  allocation_strategy: z
    .enum(["least_recently_used", "most_recently_used"])
    .default("least_recently_used")
    .describe(
      "Which of several agents that could run an action gets it: the one that was given work longest ago, which spreads " +
        "the load, or the one that was given work last, which lets the others go idle.",
    ),
});

/** Where the blobs of an instance are kept. */
export const storeSchema = z.strictObject({
  shards: z
    .int()
    .min(1)
    .max(MAX_SHARDS)
    .default(4)
    .describe(
      "How many CacheShard objects share the index of a new store. A store that is there knows by itself how many it has; " +
        "`remex store reshard` changes it.",
    ),
  inline_max_bytes: z
    .int()
    .min(0)
    .max(1 << 20)
    .default(16 * 1024)
    .describe("Blobs up to this size are kept in their index row instead of R2; 0 puts all in R2."),
  inline_total_bytes: positiveInt
    .default(4 * 2 ** 30)
    .describe(
      "How much of the store may be in index rows; beyond it, what was used longest ago moves to R2. Each shard takes an " +
        "equal share, at most 8 GiB.",
    ),
  max_bytes: positiveInt
    .default(2 ** 40)
    .describe(
      "How much the store may hold of blobs and action results. Beyond it, what was used longest ago is evicted until " +
        "95 % are in use. Each shard keeps to an equal share.",
    ),
  min_age_s: seconds
    .default(86_400)
    .describe(
      "What was used within this time is never evicted, even if the store grows beyond max_bytes. It must be longer than " +
        "all attempts of an action may take, (max_job_retries + 1) × (max_action_timeout_s + worker_timeout_s + 1800 for " +
        "inputs and outputs) + no_worker_timeout_s of each scheduler that uses the store; leave room for waiting while all agents are busy.",
    ),
  max_blob_bytes: positiveInt
    .default(64 * 2 ** 30)
    .describe("The largest blob that may be stored; a larger one is RESOURCE_EXHAUSTED."),
  touch_interval_s: seconds
    .default(3600)
    .describe("How old a blob's recorded last use may be before another use is recorded. Each record is a billed row."),
  colo_cache: z
    .boolean()
    .default(false)
    .describe(
      "Whether blobs in R2 that were read are kept in the cache of the Cloudflare data center that the Worker runs in, where " +
        "reading them again costs no R2 operation. Needs a domain of your own: on workers.dev it does nothing.",
    ),
  abandoned_upload_s: seconds
    .default(86_400)
    .describe(
      "How long an upload that broke off can be taken up again; when no part of it came for so long, what there is of it " +
        "is removed. R2 itself drops uploads after 7 days.",
    ),
  ...placeSchema.shape,
});

/**
 * Segments with a meaning of their own: those of resource names, which REAPI forbids in an instance name, those that end
 * an instance name in the paths of the HTTP cache, and the one that the paths of the dashboard begin with.
 */
const RESERVED_SEGMENTS = [
  "blobs",
  "uploads",
  "actions",
  "actionResults",
  "operations",
  "capabilities",
  "compressed-blobs",
  "ui",
  ...NAMESPACES,
];

const instanceSchema = z.strictObject({
  instance_name: z
    .string()
    .regex(
      /^([A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*)?$/,
      "expected nothing, or segments of letters, digits, _, . and - with a / between them",
    )
    .refine(
      (name) => !name.split("/").some((segment) => RESERVED_SEGMENTS.includes(segment)),
      `expected no segment that is one of ${RESERVED_SEGMENTS.join(", ")}`,
    )
    .describe(
      "What clients put in instance_name. May be empty, and may have several segments with a `/` between them.",
    ),
  scheduler: z
    .string()
    .describe("A key of `schedulers`. Instances that name the same scheduler share its settings only."),
  cas_store: z.string().describe("A key of `stores`. Instances that name the same store share its blobs."),
  ...placeSchema.shape,
  digest_functions: z
    .array(z.enum(["sha256", "blake3", "sha1", "sha384", "sha512", "md5"]))
    .min(1)
    .default(["sha256", "blake3"])
    .describe(
      "The digest functions that clients may use, the preferred one first. With sha1 or md5, whoever may write can make " +
        "two blobs of one digest.",
    ),
});

/** What stores and schedulers may be called: their names are parts of keys and paths. */
const definedName = z.string().regex(/^[A-Za-z0-9_.-]+$/, "expected a name of letters, digits, _, . and -");

const rolesByInstance = z.record(z.string(), z.array(z.enum(ROLES)));

/** The least: a piece of a body that is counted at once has to fit. */
const MIN_UPLOAD_QUOTA_BYTES = 1 << 20;

const quotaSchema = z.strictObject({
  requests_per_minute: positiveInt
    .optional()
    .describe("How many calls and HTTP requests. They may come at once, and come back evenly over the minute."),
  upload_bytes_per_hour: z
    .int()
    .min(MIN_UPLOAD_QUOTA_BYTES)
    .optional()
    .describe(
      "How many bytes of request bodies, and of what is stored beyond them: what compressed blobs are more than came, and " +
        "blobs that are spliced or split. An upload that is refused in the middle can be taken up where it ended.",
    ),
});

const tokenSchema = z.strictObject({
  name: z.string().min(1).describe("What logs call the caller."),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hex digits")
    .describe("The SHA-256 of the token: the token itself is nowhere in the configuration."),
  roles: rolesByInstance.describe("Roles by instance name; those under `*` are for every instance."),
  quota: quotaSchema.optional().describe("What all who have the token may use together; see `access.anonymous_quota`."),
});

const certificateSchema = z.strictObject({
  name: z.string().min(1).describe("What quotas and metrics call these callers."),
  common_name: z.string().min(1).optional().describe("The certificate's common name is this."),
  subject_alt_name: z
    .string()
    .regex(/^(URI|DNS|email|IP Address):./, "expected URI:, DNS:, email: or IP Address: and a name")
    .optional()
    .describe("The certificate has this subject alternative name, with its kind: `URI:spiffe://example.com/ci`."),
  roles: rolesByInstance.describe("Roles by instance name; those under `*` are for every instance."),
  quota: quotaSchema.optional().describe("What all of them may use together; see `access.anonymous_quota`."),
});

const jwtSchema = z.strictObject({
  issuer: z.string().min(1).describe("The token's `iss`."),
  audience: z.string().min(1).describe("What its `aud` must hold."),
  jwks_url: z.url().describe("Where the issuer publishes its keys."),
  roles_claim: z
    .string()
    .min(1)
    .default("remex_roles")
    .describe("The claim that grants roles: a list for every instance, or a map from instance names to lists."),
  quota: quotaSchema
    .optional()
    .describe("What each subject (`sub`) of the issuer may use; see `access.anonymous_quota`."),
});

/** Who may do what. */
export const accessSchema = z
  .strictObject({
    anonymous: rolesByInstance
      .default({})
      .describe("Roles of callers without a token, by instance name; those under `*` are for every instance."),
    anonymous_quota: quotaSchema
      .optional()
      .describe(
        "What all callers without a token may use together, without a limit where a key is absent. What is beyond is " +
          "RESOURCE_EXHAUSTED with a RetryInfo, or 429 with Retry-After.",
      ),
    tokens: z.array(tokenSchema).default([]).describe("Static tokens."),
    certificates: z
      .array(certificateSchema)
      .default([])
      .describe(
        "Holders of client certificates, as bridges vouch for them (docs/client-certificates.md). The first entry that fits counts; one " +
          "with neither name fits every certificate that a bridge lets in.",
      ),
    jwt: z.array(jwtSchema).default([]).describe("Issuers of JSON Web Tokens that are trusted."),
  })
  .describe(
    "Who may do what. Without it nobody may do anything, but for `npm start` on one's own machine.\n\n" +
      "The roles: `cache-reader` reads blobs and action results; `cache-writer` writes both, too; `executor` reads both, " +
      "writes blobs, executes actions, and sees and cancels operations, which are the instance's and not one client's; `agent` connects as a build machine, and reads and " +
      "writes blobs; `operator` sees and cancels operations, sees metrics and agents, and drains them.",
  );

/** The pages for people. */
export const dashboardSchema = z
  .strictObject({
    public_url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        "Where people reach this endpoint, for the links to operations that clients print. Without it a link has the " +
          "address that the client's own request came to.",
      ),
  })
  .describe("The pages for people: see docs/dashboard.md.");

/** The whole file. */
export const configSchema = z.strictObject({
  stores: z.record(definedName, storeSchema).describe("Where blobs are kept."),
  schedulers: z.record(definedName, schedulerSchema).describe("How actions are queued and given to agents."),
  access: accessSchema.prefault({}),
  dashboard: dashboardSchema.prefault({}),
  services: z.strictObject({
    execution: z.array(instanceSchema).min(1).describe("The instances that clients can name."),
  }),
});

export type Place = z.infer<typeof placeSchema>;
export type QuotaConfig = z.infer<typeof quotaSchema>;
export type AccessConfig = z.infer<typeof accessSchema>;
export type JwtConfig = z.infer<typeof jwtSchema>;
export type SchedulerConfig = z.infer<typeof schedulerSchema>;
export type StoreConfig = z.infer<typeof storeSchema>;
export type InstanceConfig = z.infer<typeof instanceSchema>;
