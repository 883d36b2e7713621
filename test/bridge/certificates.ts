import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Whether this machine can make certificates; tests that need some say so where it can't. */
export const OPENSSL = hasOpenssl();

function hasOpenssl(): boolean {
  try {
    return /^OpenSSL 3/.test(execFileSync("openssl", ["version"], { encoding: "utf8" }));
  } catch {
    return false;
  }
}

/** Makes certificates that are valid for two days: for servers on this machine (also as `endpoint.test`), or to tell clients by their name. */
export class CertificateAuthority {
  readonly #certificate = issue("/CN=test authority", [
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign",
  ]);

  /** To trust what it issues. */
  get cert(): string {
    return this.#certificate.cert;
  }

  issue(name: string): Certificate {
    return issue(`/CN=${name}`, ["subjectAltName=DNS:localhost,DNS:endpoint.test,IP:127.0.0.1"], this.#certificate);
  }
}

function issue(subject: string, extensions: readonly string[], issuer?: Certificate): Certificate {
  const directory = mkdtempSync(join(tmpdir(), "remex-certificates-"));
  const path = (name: string) => join(directory, name);
  try {
    if (issuer !== undefined) {
      writeFileSync(path("issuer.pem"), issuer.cert);
      writeFileSync(path("issuer.key"), issuer.key);
    }
    execFileSync(
      "openssl",
      [
        ...["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"],
        ...["-subj", subject, "-keyout", path("key.pem"), "-out", path("cert.pem")],
        ...extensions.flatMap((extension) => ["-addext", extension]),
        ...(issuer === undefined ? [] : ["-CA", path("issuer.pem"), "-CAkey", path("issuer.key")]),
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    return { cert: readFileSync(path("cert.pem"), "utf8"), key: readFileSync(path("key.pem"), "utf8") };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
