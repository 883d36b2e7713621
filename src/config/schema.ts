import { z } from "zod";

const positiveInt = z.int().positive();
const seconds = z.number().positive();

const propertyKind = z.enum(["exact", "minimum", "priority", "ignore"]);

/** What a scheduler may be told; durations in seconds. */
export const schedulerSchema = z.strictObject({
  supported_platform_properties: z
    .record(z.string(), propertyKind)
    .default({})
    .describe("How each platform property is matched: exact, minimum, priority or ignore."),
  unlisted_properties: z
    .enum(["exact", "ignore", "reject"])
    .default("exact")
    .describe("What becomes of a property that supported_platform_properties does not list."),
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
  max_action_timeout_s: seconds.default(3600).describe("The highest time limit that an action may ask for."),
  default_action_timeout_s: seconds.default(1200).describe("The time limit of an action that asks for none."),
  no_worker_timeout_s: seconds
    .default(30)
    .describe("How long an action that no connected agent could ever run is kept before RESOURCE_EXHAUSTED."),
  failure_memory_s: seconds
    .default(30)
    .describe("How long an action that spent its attempts, or a platform that nobody serves, is refused at once."),
  max_queued_actions: positiveInt
    .default(50_000)
    .describe("How many actions may wait in one scheduler object; one more is RESOURCE_EXHAUSTED."),
  allocation_strategy: z
    .enum(["least_recently_used", "most_recently_used"])
    .default("least_recently_used")
    .describe("Which of several agents that could run an action gets it."),
});

/** Where the blobs of an instance are kept. */
export const storeSchema = z.strictObject({
  shards: z.int().min(1).max(256).default(4).describe("How many CacheShard objects share the index."),
  inline_max_bytes: z
    .int()
    .min(0)
    .max(1 << 20)
    .default(16 * 1024)
    .describe("Blobs up to this size are kept in their index row instead of R2; 0 puts all in R2."),
});

const instanceSchema = z.strictObject({
  instance_name: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$|^$/, "expected path segments of letters, digits, _ . -")
    .describe("What clients put in instance_name."),
  scheduler: z.string().describe("A key of `schedulers`."),
  cas_store: z.string().describe("A key of `stores`. Instances that name the same store share its blobs."),
});

/** The whole file. */
export const configSchema = z.strictObject({
  stores: z.record(z.string(), storeSchema),
  schedulers: z.record(z.string(), schedulerSchema),
  services: z.strictObject({ execution: z.array(instanceSchema).min(1) }),
});

export type SchedulerConfig = z.infer<typeof schedulerSchema>;
export type StoreConfig = z.infer<typeof storeSchema>;
export type InstanceConfig = z.infer<typeof instanceSchema>;
