/**
 * The header in which the bridge says who its client is: a JSON Web Token (HS256, with a key that bridge and Worker share)
 * with the claims `common_name` and `subject_alt_names` of the client's certificate. It says nothing of the call.
 */
export const CLIENT_IDENTITY_HEADER = "x-remex-client-identity";

/** The token's `iss` and `aud`. */
export const CLIENT_IDENTITY = { issuer: "remex-bridge", audience: "remex" } as const;
