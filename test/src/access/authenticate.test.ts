import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Code } from "@connectrpc/connect";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { authenticate } from "../../../src/access/authenticate.ts";
import { accessSchema } from "../../../src/config/schema.ts";

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

const ACCESS = accessSchema.parse({
  anonymous: { main: ["cache-reader"] },
  tokens: [{ name: "ci", sha256: sha256("secret"), roles: { main: ["executor"] } }],
});

test("without a header the caller is anonymous, with what that may do", async () => {
  const caller = await authenticate(ACCESS, null);
  expect(caller).toMatchObject({ name: "anonymous", authenticated: false });
  expect(caller.grants.get("main")).toEqual(["cache-reader"]);
});

test("a static token is known by its hash", async () => {
  const caller = await authenticate(ACCESS, "Bearer secret");
  expect(caller).toMatchObject({ name: "ci", authenticated: true });
  expect(caller.grants.get("main")).toEqual(["executor"]);
});

test("the password of Basic authentication is a token too, whoever the user says to be", async () => {
  for (const user of ["", "ci", "someone else"]) {
    const caller = await authenticate(ACCESS, `Basic ${Buffer.from(`${user}:secret`).toString("base64")}`);
    expect(caller).toMatchObject({ name: "ci", authenticated: true });
  }
});

test.each([
  "Bearer wrong",
  "Basic",
  "Basic Y2k6",
  "Basic Y2k6d3Jvbmc=",
  "Bearer ",
  "Basic c2VjcmV0",
  "secret",
  `Bearer ${sha256("secret")}`,
  "Bearer a.b.c",
])("%j is UNAUTHENTICATED, not anonymous, and isn't repeated in the message", async (header) => {
  const error: unknown = await authenticate(ACCESS, header).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: Code.Unauthenticated });
  expect(String(error)).not.toContain("wrong");
});

describe("a JSON Web Token", () => {
  const issuer = "https://issuer.example";
  const audience = "remex";
  let server: Server;
  let served: object[] = [];
  let fetches = 0;
  let jwks = "";
  let privateKey: CryptoKey;
  let publicKey: CryptoKey;

  beforeAll(async () => {
    ({ privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true }));
    served = [{ ...(await exportJWK(publicKey)), kid: "one", alg: "ES256" }];
    server = createServer((_request, response) => {
      fetches += 1;
      response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: served }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const isBound = (value: typeof address): value is AddressInfo => typeof value === "object" && value !== null;
    jwks = isBound(address) ? `http://127.0.0.1:${address.port}/jwks` : "";
  });
  afterAll(() => server.close());

  interface TokenOptions {
    readonly kid?: string;
    readonly key?: CryptoKey;
    readonly expires?: string | undefined;
    readonly aud?: string;
    readonly iss?: string;
  }

  function token(claims: object, options: TokenOptions = {}) {
    const { aud = audience, iss = issuer, key = privateKey, kid = "one" } = options;
    const { expires } = { expires: "5m", ...options };
    const made = new SignJWT({ ...claims })
      .setProtectedHeader({ alg: "ES256", kid })
      .setIssuer(iss)
      .setAudience(aud)
      .setSubject("dev@example.com");
    return (expires === undefined ? made : made.setExpirationTime(expires)).sign(key);
  }

  const access = () => accessSchema.parse({ jwt: [{ issuer, audience, jwks_url: jwks }], tokens: [], anonymous: {} });

  test("grants the roles of its claim, on all instances or on those that it names", async () => {
    const everywhere = await authenticate(access(), `Bearer ${await token({ remex_roles: ["cache-reader"] })}`);
    expect(everywhere).toMatchObject({ name: "dev@example.com", authenticated: true });
    expect(everywhere.grants.get("*")).toEqual(["cache-reader"]);
    const named = await authenticate(access(), `Bearer ${await token({ remex_roles: { main: ["executor"] } })}`);
    expect([...named.grants]).toEqual([["main", ["executor"]]]);
    // The keys were fetched once for both.
    expect(fetches).toBe(1);
  });

  test.each([
    ["expired", { remex_roles: ["executor"] }, { expires: "-5m" }],
    ["that never expires", { remex_roles: ["executor"] }, { expires: undefined }],
    ["for another audience", { remex_roles: ["executor"] }, { aud: "other" }],
    ["of another issuer", { remex_roles: ["executor"] }, { iss: "https://other.example" }],
    ["without roles", {}, {}],
    ["with a role that is none", { remex_roles: ["root"] }, {}],
  ])("%s is UNAUTHENTICATED", async (_what, claims, options) => {
    const header = `Bearer ${await token(claims, options)}`;
    await expect(authenticate(access(), header)).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  test("signed by another key is UNAUTHENTICATED, and so is one that nobody signed", async () => {
    const { privateKey: other } = await generateKeyPair("ES256");
    const forged = await token({ remex_roles: ["executor"] }, { key: other });
    await expect(authenticate(access(), `Bearer ${forged}`)).rejects.toMatchObject({ code: Code.Unauthenticated });
    const [, payload = ""] = forged.split(".");
    const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`;
    await expect(authenticate(access(), `Bearer ${none}`)).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  test("signed with the public key as if it were a shared secret is UNAUTHENTICATED", async () => {
    const secret = Buffer.from(JSON.stringify(served[0]));
    const forged = await new SignJWT({ remex_roles: ["executor"] })
      .setProtectedHeader({ alg: "HS256", kid: "one" })
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime("5m")
      .sign(secret);
    await expect(authenticate(access(), `Bearer ${forged}`)).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  test("signed by a key that the issuer has only now is good as soon as keys may be fetched again, and an old one is not", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const old = served;
      const next = await generateKeyPair("ES256", { extractable: true });
      const byNext = `Bearer ${await token({ remex_roles: ["executor"] }, { key: next.privateKey, kid: "two" })}`;
      const byOld = `Bearer ${await token({ remex_roles: ["executor"] })}`;
      await authenticate(access(), byOld);
      served = [{ ...(await exportJWK(next.publicKey)), kid: "two", alg: "ES256" }];
      const before = fetches;
      await expect(authenticate(access(), byNext)).rejects.toMatchObject({ code: Code.Unauthenticated });
      expect(fetches).toBe(before);
      vi.setSystemTime(Date.now() + 31_000);
      await expect(authenticate(access(), byNext)).resolves.toMatchObject({ authenticated: true });
      expect(fetches).toBe(before + 1);
      await expect(authenticate(access(), byOld)).rejects.toMatchObject({ code: Code.Unauthenticated });
      served = old;
    } finally {
      vi.useRealTimers();
    }
  });

  test("of an issuer that is trusted for several audiences is taken for its own", async () => {
    const several = accessSchema.parse({
      jwt: [
        // Keys are kept by their URL, and those of the test before are from the future.
        { issuer, audience: "first", jwks_url: `${jwks}?several`, roles_claim: "none_of_this" },
        { issuer, audience, jwks_url: `${jwks}?several` },
      ],
    });
    const header = `Bearer ${await token({ remex_roles: ["cache-reader"] })}`;
    await expect(authenticate(several, header)).resolves.toMatchObject({ authenticated: true });
  });

  test("of an issuer whose keys can't be fetched is UNAVAILABLE: it may be good", async () => {
    const unreachable = accessSchema.parse({ jwt: [{ issuer, audience, jwks_url: "http://127.0.0.1:9/jwks" }] });
    const header = `Bearer ${await token({ remex_roles: ["executor"] })}`;
    await expect(authenticate(unreachable, header)).rejects.toMatchObject({ code: Code.Unavailable });
  });
});
