import { counts } from "./counter.ts";
import { withPlace } from "./invocation.ts";
import { isMethod } from "./method.ts";

type Billing = "class A" | "class B" | "free";

/** How R2 bills the methods of a bucket and of a multipart upload. */
const BILLING: ReadonlyMap<string | symbol, Billing> = new Map<string, Billing>([
  ["head", "class B"],
  ["get", "class B"],
  ["put", "class A"],
  ["list", "class A"],
  ["createMultipartUpload", "class A"],
  ["uploadPart", "class A"],
  ["complete", "class A"],
  ["abort", "free"],
  ["delete", "free"],
]);

/** Methods whose result describes an object that is now stored. */
const STORING: ReadonlySet<string | symbol> = new Set(["put", "complete"]);

/** A bucket, or a multipart upload, that counts what it does and is as far away as `latencyMs` says. */
export function countedBucket<T extends object>(bucket: T, latencyMs: number): T {
  return new Proxy(bucket, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (!isMethod(member)) return member;
      const billing = BILLING.get(name);
      // resumeMultipartUpload: it only makes an object, and asks R2 nothing.
      if (billing === undefined) return (...args: unknown[]) => countedUpload(member.apply(target, args), latencyMs);
      return async (...args: unknown[]) => {
        if (billing === "class A") counts.r2ClassA++;
        if (billing === "class B") counts.r2ClassB++;
        const result = await distant(latencyMs, () => member.apply(target, args));
        if (STORING.has(name)) counts.r2StoredBytes += sizeOf(result);
        return name === "createMultipartUpload" ? countedUpload(result, latencyMs) : result;
      };
    },
  });
}

async function distant(latencyMs: number, operate: () => unknown): Promise<unknown> {
  if (latencyMs === 0) return operate();
  return withPlace(async () => {
    await scheduler.wait(latencyMs);
    return operate();
  });
}

function countedUpload(upload: unknown, latencyMs: number): unknown {
  return typeof upload === "object" && upload !== null ? countedBucket(upload, latencyMs) : upload;
}

function sizeOf(result: unknown): number {
  return typeof result === "object" && result !== null && "size" in result ? Number(result.size) : 0;
}
