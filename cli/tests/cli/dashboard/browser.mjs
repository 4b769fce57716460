// Opens pages in a headless Chromium at three widths, in light and in dark, and prints what is wrong with them as JSON.
// Arguments: the address, the pages as JSON, and a line that is appended to a log while a page is open, or `null`.
// `SERVICE_ONLY_PEERS_DIR` has puppeteer-core and axe-core.
import { createRequire } from "node:module";
import { appendFileSync, readFileSync } from "node:fs";

const require = createRequire(process.env.SERVICE_ONLY_PEERS_DIR + "/");
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [address, list, live] = [process.argv.at(-3), JSON.parse(process.argv.at(-2)), JSON.parse(process.argv.at(-1))];
// How many elements of a page Tab visits.
const STOPS = 60;
const shots = process.env.SERVICE_ONLY_SCREENSHOTS;

const browser = await puppeteer.launch({
  executablePath: process.env.SERVICE_ONLY_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const wrong = [];
let [pages, rows] = [0, 0];

// Opens a page, and reports what it must not do.
async function open(at, path, status, width, scheme) {
  const page = await browser.newPage();
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  page.on("console", (message) => {
    // Chromium writes a line for a page that is missing.
    const isStatus = status === 404 && message.text().includes("404");
    if (message.type() === "error" && !isStatus) wrong.push(`${at}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`${at}: script: ${error.message}`));
  page.on("dialog", (dialog) => { wrong.push(`${at}: dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (!request.url().startsWith(address)) wrong.push(`${at}: request to ${request.url()}`);
  });
  const answer = await page.goto(address + path, { waitUntil: "load" });
  if (answer.status() !== status) wrong.push(`${at}: status ${answer.status()}`);
  await page.waitForFunction(() =>
    !document.querySelector("[data-live]") || document.getElementById("live").dataset.state === "on");
  return page;
}

// Presses Tab through a page. The first stop leads to the content, and each is visible.
async function tab(page, at) {
  for (let stop = 0; stop < STOPS; stop += 1) {
    await page.keyboard.press("Tab");
    const found = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const [style, box] = [getComputedStyle(element), element.getBoundingClientRect()];
      return {
        isSkip: element.matches("a.skip[href='#main']") && Boolean(document.getElementById("main")),
        hasRing: element.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        isSeen: box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0
          && box.left < innerWidth && box.top < innerHeight && style.visibility === "visible" && style.opacity !== "0",
        html: element.outerHTML.slice(0, 120),
      };
    });
    // Past the last element.
    if (!found) {
      if (stop < 5) wrong.push(`${at}: only ${stop} elements are reached with Tab`);
      return;
    }
    if (found.isSkip !== (stop === 0)) wrong.push(`${at}: stop ${stop} of Tab is ${found.html}`);
    if (!found.hasRing) wrong.push(`${at}: the focus of ${found.html} has no outline`);
    if (!found.isSeen) wrong.push(`${at}: the focus is on ${found.html}, which is not visible`);
  }
}

// Appends a line to the log. Its row appears as text in an open page.
async function append({ path, file, line, texts }) {
  const page = await open("live", path, 200, 1280, "light");
  appendFileSync(file, line);
  await page.waitForSelector("tr.new");
  const found = await page.$$eval("tr.new", (all) => all.map((row) => ({
    text: row.textContent, elements: [...row.querySelectorAll("*")].map((element) => element.localName) })));
  rows += found.length;
  for (const { text, elements } of found) {
    for (const part of texts) if (!text.includes(part)) wrong.push(`live: the row has no ${part}: ${text}`);
    const foreign = elements.filter((name) => !["td", "a", "span", "code"].includes(name));
    if (foreign.length) wrong.push(`live: the row has the elements ${foreign}`);
  }
  await page.close();
}

try {
  for (const { path, status } of list) {
    for (const scheme of ["light", "dark"]) {
      for (const width of [360, 800, 1280]) {
        const at = `${path} ${scheme} ${width}`;
        const page = await open(at, path, status, width, scheme);
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
        if (scheme === "light" && width !== 800) await tab(page, at);
        pages += 1;
        await page.close();
      }
    }
  }
  if (live) await append(live);
} finally {
  await browser.close();
}
console.log(JSON.stringify({ pages, rows, wrong }));
