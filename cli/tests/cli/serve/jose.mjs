// Verifies a token with jose's remote JWK set, found by discovery. Arguments: issuer, token. Prints the subject.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const base = process.env.SERVICE_ONLY_JOSE_DIR ?? process.cwd();
const jose = await import(pathToFileURL(createRequire(base + "/_.js").resolve("jose")));

const [issuer, token] = process.argv.slice(-2);
const found = await (await fetch(issuer + "/.well-known/openid-configuration")).json();
if (found.issuer !== issuer) throw new Error(`the document names ${found.issuer}`);
const keys = jose.createRemoteJWKSet(new URL(found.jwks_uri));
const { payload } = await jose.jwtVerify(token, keys, { issuer });
console.log(payload.sub);
