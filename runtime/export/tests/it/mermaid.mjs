// Parses the diagrams on standard input, with a NUL between two, with Mermaid itself.
import { text } from "node:stream/consumers";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const base = process.env.SERVICE_ONLY_PEERS_DIR ?? process.cwd();
const require = createRequire(`${base}/_.js`);
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import(pathToFileURL(`${base}/node_modules/mermaid/dist/mermaid.core.mjs`));

for (const diagram of (await text(process.stdin)).split("\0")) {
  const { diagramType } = await mermaid.parse(diagram);
  console.log(diagramType);
}
process.exit(0);
