import { Code } from "@connectrpc/connect";
import { SignJWT, UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { identifyClient } from "../../../src/access/client-identity.ts";
import { accessSchema } from "../../../src/config/schema.ts";

const KEY = "k".repeat(32);
const OTHER_KEY = "o".repeat(32);
const NAMES = { common_name: "ci", subject_alt_names: ["URI:spiffe://example.com/ci"] };

const ACCESS = accessSchema.parse({
  certificates: [
    { name: "one service", subject_alt_name: "URI:spiffe://example.com/release", roles: { main: ["cache-writer"] } },
    { name: "ci", common_name: "ci", subject_alt_name: "URI:spiffe://example.com/ci", roles: { main: ["executor"] } },
    { name: "everyone else", roles: { main: ["cache-reader"] } },
  ],
});

interface Options {
  readonly names?: Readonly<Record<string, unknown>>;
  readonly key?: string;
  readonly issuer?: string;
  readonly audience?: string;
  readonly issuedS?: number;
  readonly lifeS?: number;
}

const nowS = (): number => Math.floor(Date.now() / 1000);

function signed({
  names = NAMES,
  key = KEY,
  issuer = "remex-bridge",
  audience = "remex",
  issuedS = nowS(),
  lifeS = 120,
}: Options = {}) {
  return new SignJWT({ ...names })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(issuedS)
    .setExpirationTime(issuedS + lifeS)
    .sign(new TextEncoder().encode(key));
}

test.each([
  [NAMES, "executor"],
  [{ ...NAMES, common_name: "other" }, "cache-reader"],
  [{ subject_alt_names: ["DNS:a", "URI:spiffe://example.com/release"] }, "cache-writer"],
  [{ subject_alt_names: [] }, "cache-reader"],
])("the first entry that fits %j counts", async (names, role) => {
  const caller = await identifyClient(ACCESS, KEY, await signed({ names }));
  expect(caller.authenticated).toBe(true);
  expect(caller.grants.get("main")).toEqual([role]);
});

test("one that no entry fits is known, and may do nothing", async () => {
  const caller = await identifyClient(accessSchema.parse({}), KEY, await signed());
  expect(caller).toMatchObject({ name: "ci", authenticated: true, grants: new Map() });
});

test("while bridges go over to another key, both are accepted", async () => {
  const keys = `${OTHER_KEY}\n${KEY}`;
  await expect(identifyClient(ACCESS, keys, await signed())).resolves.toMatchObject({ name: "ci" });
  await expect(identifyClient(ACCESS, keys, await signed({ key: OTHER_KEY }))).resolves.toMatchObject({ name: "ci" });
});

test.each<[string, string | undefined, () => Promise<string>, RegExp]>([
  ["signed by another key", KEY, () => signed({ key: OTHER_KEY }), /no bridge that is trusted/],
  ["not signed", KEY, () => Promise.resolve(unsigned()), /no bridge that is trusted/],
  ["of another issuer", KEY, () => signed({ issuer: "me" }), /no bridge that is trusted/],
  ["for another audience", KEY, () => signed({ audience: "them" }), /no bridge that is trusted/],
  ["of no certificate", KEY, () => signed({ names: { sub: "ci" } }), /no bridge that is trusted/],
  ["nonsense", KEY, () => Promise.resolve("a.b.c"), /no bridge that is trusted/],
  ["expired, used again", KEY, () => signed({ issuedS: nowS() - 200 }), /has expired/],
  [
    "signed for longer than a bridge does",
    KEY,
    () => signed({ issuedS: nowS() - 400, lifeS: 1e6 }),
    /expired|no bridge/,
  ],
  ["from the future", KEY, () => signed({ issuedS: nowS() + 600 }), /no bridge that is trusted/],
  ["for a Worker without a key", undefined, () => signed(), /REMEX_BRIDGE_KEY/],
  ["for a Worker with a key that can be guessed", "short", () => signed({ key: "short" }), /REMEX_BRIDGE_KEY/],
])("an identity %s is UNAUTHENTICATED", async (_what, keys, token, message) => {
  const error: unknown = await identifyClient(ACCESS, keys, await token()).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: Code.Unauthenticated });
  expect(String(error)).toMatch(message);
});

function unsigned(): string {
  return new UnsecuredJWT({ ...NAMES })
    .setIssuer("remex-bridge")
    .setAudience("remex")
    .setIssuedAt()
    .setExpirationTime("2m")
    .encode();
}
