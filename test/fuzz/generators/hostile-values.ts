import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";

const HOSTILE_STRINGS = [
  "",
  ".",
  "..",
  "/",
  "//",
  "../../../../etc/passwd",
  "/etc/passwd",
  "a/../../b",
  "C:\\windows\\system32",
  "..\\..\\b",
  "%2e%2e%2f",
  "a\0b",
  "a\r\nset-cookie: b",
  "\u202egnp.exe",
  "\ud83d\ude00",
  "__proto__",
  "constructor",
  "*",
  "main",
  "other",
  "MAIN",
  "main/",
  "main/blobs",
  "blobs/uploads/operations",
  "'; DROP TABLE blobs; --",
  "<script>alert(1)</script>",
  "${jndi:ldap://a}",
];

const SIZES = [0n, 1n, -1n, 5n, 1n << 31n, (1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, -(1n << 63n), 10n ** 12n];

const INTEGERS = [0, 1, -1, 2, 100, 2 ** 31 - 1, -(2 ** 31)];

const HASH_LENGTHS = [0, 1, 32, 40, 63, 64, 65, 96, 128, 4096];

export function hostileString(random: Random): string {
  if (random.chance(0.05)) return "x".repeat(random.between(1000, 100_000));
  return random.pick(HOSTILE_STRINGS) ?? "";
}

/** What may be a hash, and what is nearly one. */
export function hostileHash(random: Random): string {
  if (random.chance(0.2)) return hostileString(random);
  const alphabet = random.pick(["0123456789abcdef", "0123456789ABCDEF", "0123456789abcdefg", "f"]) ?? "";
  const length = random.chance(0.6) ? 64 : (random.pick(HASH_LENGTHS) ?? 64);
  return Array.from({ length }, () => alphabet[random.between(0, alphabet.length - 1)]).join("");
}

export function hostileSize(random: Random): bigint {
  return random.pick(SIZES) ?? 0n;
}

export function hostileInteger(random: Random): number {
  return random.pick(INTEGERS) ?? 0;
}

export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.between(0, 255));
}

/** A resource name of ByteStream, or something near one. */
export function hostileResourceName(random: Random, instanceName: string): string {
  const part = (usual: string) => (random.chance(0.85) ? usual : hostileString(random));
  const blob = [
    part(
      random.pick(["blobs", "compressed-blobs/zstd", "compressed-blobs/deflate", "blobs/blake3", "blobs/sha1"]) ?? "",
    ),
    hostileHash(random),
    part(String(hostileSize(random))),
  ];
  const upload = random.chance(0.5) ? [part("uploads"), part("11111111-2222-3333-4444-555555555555")] : [];
  const rest = random.chance(0.1) ? [hostileString(random)] : [];
  return [part(instanceName), ...upload, ...blob, ...rest].join("/");
}

/** An operation's name, or something near one. */
export function hostileOperationName(random: Random, instanceName: string): string {
  const part = (usual: string) => (random.chance(0.8) ? usual : hostileString(random));
  const id = "00000000-0000-4000-8000-000000000000";
  return [part(instanceName), part("operations"), part(String(hostileInteger(random))), part(id)].join("/");
}
