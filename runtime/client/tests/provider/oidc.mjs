// An OpenID provider on loopback, for tests: node's `oidc-provider` with client credentials and access tokens of RFC 9068.
//
// Arguments: the JWK set of the client `billing-key`, and the lifetime of a token in seconds. The folder in which
// `npm install oidc-provider` was run is in SERVICE_ONLY_OIDC_DIR. It prints its issuer. Lines on standard input change
// it: `rotate`, `retire`, `down`, `up`, `count`. It answers each with a line.
import { createRequire } from 'node:module';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(`${process.env.SERVICE_ONLY_OIDC_DIR}/`));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const [clientKeys, lifetime] = [JSON.parse(process.argv[2]), Number(process.argv[3])];
let number = 0;
const key = () => ({
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
  alg: 'ES256',
  use: 'sig',
  kid: `key-${++number}`,
});

const client = (client_id, settings) => ({
  client_id,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: 'ES256',
  ...settings,
});

const provider = (issuer, keys) =>
  new Provider(issuer, {
    clients: [
      client('billing', { client_secret: 'p@ss word', token_endpoint_auth_method: 'client_secret_basic' }),
      client('billing-key', {
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: clientKeys,
      }),
      client('billing-dpop', {
        client_secret: 'p@ss word',
        token_endpoint_auth_method: 'client_secret_basic',
        dpop_bound_access_tokens: true,
      }),
    ],
    jwks: { keys },
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      // It asks for a nonce, so that the client has to send each first request twice.
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'orders:read',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: lifetime,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });

let keys = [key()];
let current;
let down = false;
const count = { tokens: 0, keys: 0 };
const server = createServer((request, response) => {
  if (down) {
    response.writeHead(503).end();
    return;
  }
  if (request.url.startsWith('/token')) count.tokens += 1;
  if (request.url.startsWith('/jwks')) count.keys += 1;
  current(request, response);
});
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const load = () => {
    current = provider(issuer, keys).callback();
  };
  load();
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line === 'rotate') {
        // The first key signs.
        keys = [key(), ...keys];
        load();
      } else if (line === 'retire') {
        keys = keys.slice(0, 1);
        load();
      } else if (line === 'down' || line === 'up') {
        down = line === 'down';
      }
      console.log(`${count.tokens} ${count.keys}`);
    })
    .on('close', () => process.exit(0));
  console.log(issuer);
});
