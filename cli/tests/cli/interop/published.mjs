// JWK sets as other software publishes them, a token for each, and jose's verdict: a JSON array on stdout.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const base = process.env.SERVICE_ONLY_JOSE_DIR ?? process.cwd();
const jose = await import(pathToFileURL(createRequire(base + "/_.js").resolve("jose")));

const bytes = (text) => Buffer.from(text, "base64url");
const encode = (data) => Buffer.from(data).toString("base64url");
const signed = (text) => encode(Buffer.concat([Buffer.from([0]), bytes(text)]));

const make = async (alg) => {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: "k" };
  return { alg, jwk, privateKey, pem: await jose.exportPKCS8(privateKey) };
};
const under = async (key, alg) => ({ ...key, alg, privateKey: await jose.importPKCS8(key.pem, alg) });

const now = Math.floor(Date.now() / 1000);
const claims = {
  sub: "orders", service: "orders", type: "service", is_service: true, role: "admin", iss: "bakery-auth",
  iat: now, exp: now + 3600, jti: "7d9f5b52-6d0c-4d0e-9f8e-1f9f6f1b7c11",
};
const mint = (key) =>
  new jose.SignJWT(claims).setProtectedHeader({ alg: key.alg, kid: "k", typ: "JWT" }).sign(key.privateKey);

const rsa = await make("RS256");
const pss = await under(rsa, "PS256");
const ec = await make("ES256");
const ec2 = await make("ES256");
const ed = await make("Ed25519");
const stranger = await make("RS256");
const [R, E, D] = [rsa.jwk, ec.jwk, ed.jwk];
const perAlg = ["RS256", "PS256"].map((alg) => ({ ...R, alg }));

const cases = [
  ["rsa modulus with a sign", [{ ...R, n: signed(R.n) }], rsa],
  ["rsa exponent with a sign", [{ ...R, e: signed(R.e) }], rsa],
  ["ec coordinate with a sign", [{ ...E, x: signed(E.x) }], ec],
  ["oth is empty", [{ ...R, oth: [] }], rsa],
  ["certificate members are empty or null", [{ ...R, x5c: [], x5t: "", x5u: null }], rsa],
  ["once per algorithm: first", perAlg, rsa],
  ["once per algorithm: second", perAlg, pss],
  ["the same entry twice", [R, R], rsa],
  ["a kid of two types: first", [R, E], rsa],
  ["a kid of two types: second", [R, E], ec],
  ["a kid of two keys: first", [E, { ...ec2.jwk }], ec],
  ["a kid of two keys: second", [{ ...ec2.jwk }, E], ec],
  ["RFC 9864 name", [{ ...D, alg: "Ed25519" }], ed],
  ["RFC 9864 name in the token only", [D], ed],
  ["an entry that is null", [null, R], rsa],
  ["an entry that is text", ["text", R], rsa],
  ["an entry for encryption of the same kid", [{ ...stranger.jwk, use: "enc" }, R], rsa],
  ["an entry of an unknown type", [{ kty: "AKP", kid: "z" }, R], rsa],
  ["an entry of an unknown curve", [{ kty: "EC", crv: "P-521K", kid: "z", x: "AA", y: "AA" }, R], rsa],
  ["an entry whose kid is a number", [{ ...E, kid: 1 }, R], rsa],
  ["a secret of the same kid", [{ kty: "oct", k: encode("s".repeat(32)), kid: "k" }, R], rsa],
  ["a broken entry of the same kid", [{ kty: "RSA", n: "AQ", e: "AQAB", kid: "k" }, R], rsa],
  ["unknown members", [{ ...R, ext: true, iat: "x", "x-comment": { a: [1] } }], rsa],
  ["nobody's key", [R, E, D], stranger],
  ["nobody's key among several of one kid", [E, { ...ec2.jwk }], await make("ES256")],
  ["key_ops is empty", [{ ...R, key_ops: [] }], rsa],
  ["key_ops is text", [{ ...R, key_ops: "verify" }], rsa],
  ["padding", [{ ...R, n: R.n + "==" }], rsa],
  ["use is empty", [{ ...R, use: "" }], rsa],
  ["use is SIG", [{ ...R, use: "SIG" }], rsa],
  ["alg is empty", [{ ...R, alg: "" }], rsa],
];

const verdict = async (set, token, algorithms) => {
  try {
    await jose.jwtVerify(token, jose.createLocalJWKSet(set), { algorithms, issuer: claims.iss });
    return true;
  } catch (error) {
    if (error?.code !== "ERR_JWKS_MULTIPLE_MATCHING_KEYS") return false;
    for await (const key of error) {
      try {
        await jose.jwtVerify(token, key, { algorithms, issuer: claims.iss });
        return true;
      } catch {}
    }
    return false;
  }
};

const answers = [];
for (const [name, keys, key] of cases) {
  const [set, token] = [{ keys }, await mint(key)];
  answers.push({ name, set, token, alg: key.alg, now, jose: await verdict(set, token, [key.alg]) });
}
console.log(JSON.stringify(answers));
