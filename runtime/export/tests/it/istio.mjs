// Checks YAML documents on standard input against the schemas of Istio's own resources.
import { text } from "node:stream/consumers";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const base = process.env.SERVICE_ONLY_PEERS_DIR ?? process.cwd();
const folder = `${base}/node_modules/@kubernetes-models/istio/security.istio.io/v1/index.js`;
const models = await import(pathToFileURL(folder));
const yaml = createRequire(`${base}/_.js`)("yaml");

for (const document of yaml.parseAllDocuments(await text(process.stdin))) {
    if (document.errors.length > 0) throw document.errors[0];
    const resource = document.toJS();
    new models[resource.kind](resource).validate();
    console.log(resource.kind);
}
