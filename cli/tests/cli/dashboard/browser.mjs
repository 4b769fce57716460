// Opens pages in a headless Chromium at three widths, in light and in dark, and prints what is wrong with them as JSON.
// Arguments: the address, and the paths as JSON. `SERVICE_ONLY_PEERS_DIR` has puppeteer-core and axe-core.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.SERVICE_ONLY_PEERS_DIR + "/");
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [address, paths] = [process.argv.at(-2), JSON.parse(process.argv.at(-1))];
const shots = process.env.SERVICE_ONLY_SCREENSHOTS;

const browser = await puppeteer.launch({
  executablePath: process.env.SERVICE_ONLY_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const wrong = [];
let pages = 0;
try {
  for (const path of paths) {
    for (const scheme of ["light", "dark"]) {
      for (const width of [360, 800, 1280]) {
        const page = await browser.newPage();
        const at = `${path} ${scheme} ${width}`;
        await page.setViewport({ width, height: 900 });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        page.on("console", (message) => message.type() === "error" && wrong.push(`${at}: console: ${message.text()}`));
        page.on("pageerror", (error) => wrong.push(`${at}: script: ${error.message}`));
        page.on("dialog", (dialog) => { wrong.push(`${at}: dialog: ${dialog.message()}`); dialog.dismiss(); });
        page.on("request", (request) => {
          if (!request.url().startsWith(address)) wrong.push(`${at}: request to ${request.url()}`);
        });
        const answer = await page.goto(address + path, { waitUntil: "load" });
        if (answer.status() !== 200) wrong.push(`${at}: status ${answer.status()}`);
        await page.waitForFunction(() =>
          !document.querySelector("[data-live]") || document.getElementById("live").dataset.state === "on");
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) wrong.push(`${at}: ${over} pixels wider than the window`);
        if (shots) await page.screenshot({ path: `${shots}/${at.replace(/[^a-z0-9]+/gi, "-")}.png`, fullPage: true });
        // Once in light and once in dark: the colours do not depend on the width.
        if (width === (scheme === "light" ? 360 : 1280)) {
          // The browser evaluates it, so the policy of the page does not apply.
          await page.evaluate(axe);
          const found = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
          for (const { impact, id, nodes } of found.violations) {
            if (["serious", "critical"].includes(impact)) {
              wrong.push(`${at}: axe: ${impact} ${id}: ${nodes.slice(0, 3).map((node) => node.html).join(" ")}`);
            }
          }
        }
        pages += 1;
        await page.close();
      }
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ pages, wrong }));
