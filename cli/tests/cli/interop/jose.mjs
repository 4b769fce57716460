// jose's side of the interoperability test: one request as JSON on stdin, one answer on stdout.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const base = process.env.SERVICE_ONLY_JOSE_DIR ?? process.cwd();
const jose = await import(pathToFileURL(createRequire(base + "/_.js").resolve("jose")));

const request = JSON.parse(await text(process.stdin));
const { algorithm } = request;
const symmetric = algorithm.startsWith("HS");
const secret = () => new TextEncoder().encode(request.secret);

if (request.do === "mint") {
  const key = symmetric ? secret() : await jose.importPKCS8(request.private_pem, algorithm);
  const header = { alg: algorithm, kid: request.kid, typ: "JWT" };
  console.log(await new jose.SignJWT(request.claims).setProtectedHeader(header).sign(key));
} else if (request.do === "verify") {
  const key = symmetric ? secret() : jose.createLocalJWKSet(request.jwks);
  const { payload } = await jose.jwtVerify(request.token, key, { algorithms: [algorithm], issuer: request.issuer });
  console.log(JSON.stringify(payload));
}
