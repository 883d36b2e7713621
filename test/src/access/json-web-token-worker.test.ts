import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { expect, test } from "vitest";
import { startWorker } from "../../worker.ts";

const ISSUER = "https://issuer.example";

test("the Worker takes a JSON Web Token, and many requests at once share the keys", async () => {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const keys = [{ ...(await exportJWK(publicKey)), kid: "one", alg: "ES256" }];
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys }));
  });
  const address = await new Promise<AddressInfo>((resolve, reject) => {
    server.listen(0, "127.0.0.1", () => {
      const bound = server.address();
      if (typeof bound === "object" && bound !== null) resolve(bound);
      else reject(new Error("the server has no port"));
    });
  });
  const worker = await startWorker({
    config: JSON.stringify({
      stores: { S: {} },
      schedulers: { M: {} },
      services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "S" }] },
      access: {
        anonymous: {},
        jwt: [{ issuer: ISSUER, audience: "remex", jwks_url: `http://127.0.0.1:${address.port}/jwks` }],
      },
    }),
  });
  try {
    const tokenFor = (roles: object) =>
      new SignJWT({ remex_roles: roles })
        .setProtectedHeader({ alg: "ES256", kid: "one" })
        .setIssuer(ISSUER)
        .setAudience("remex")
        .setExpirationTime("5m")
        .sign(privateKey);
    const statusWith = async (token: string) => {
      const response = await fetch(`${worker.url}/v1/instances/main/demand`, {
        headers: { authorization: `Bearer ${token}`, connection: "close" },
      });
      return response.status;
    };
    const operator = await tokenFor({ main: ["operator"] });
    expect(await Promise.all(Array.from({ length: 20 }, () => statusWith(operator)))).toEqual(Array(20).fill(200));
    expect(await statusWith(await tokenFor({ other: ["operator"] }))).toBe(403);
    expect(await statusWith(`${operator.slice(0, -3)}AAA`)).toBe(401);
  } finally {
    await worker.dispose();
    server.close();
  }
});
