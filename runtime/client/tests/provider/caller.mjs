// A caller that this project did not write, for tests: node's `oauth4webapi`, which signs proofs of DPoP.
//
// SERVICE_ONLY_JOSE_DIR names the folder in which `npm install jose oauth4webapi` was run. The argument is the algorithm of
// its key. It prints the thumbprint of the key, which `jose` computes. Then it reads a line with a token and a URL, calls the
// URL three times, and prints the statuses. The last call repeats the headers of the one before.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(`${process.env.SERVICE_ONLY_JOSE_DIR}/`));
const oauth = await import(pathToFileURL(require.resolve('oauth4webapi')));
const jose = await import(pathToFileURL(require.resolve('jose')));

const keys = await oauth.generateKeyPair(process.argv[2]);
console.log(await jose.calculateJwkThumbprint(await jose.exportJWK(keys.publicKey)));

const DPoP = oauth.DPoP({ client_id: 'billing' }, keys);
let last;
const settings = {
  DPoP,
  [oauth.allowInsecureRequests]: true,
  [oauth.customFetch]: (url, init) => {
    last = [url, init];
    return fetch(url, init);
  },
};

const call = async (token, url) => {
  const request = () => oauth.protectedResourceRequest(token, 'GET', new URL(url), new Headers(), null, settings);
  try {
    return (await request()).status;
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) return error.status ?? `${error}`;
    return (await request()).status;
  }
};

for await (const line of createInterface({ input: process.stdin })) {
  const [token, url] = line.split(' ');
  const statuses = [await call(token, url), await call(token, url), (await fetch(...last)).status];
  console.log(JSON.stringify(statuses));
}
