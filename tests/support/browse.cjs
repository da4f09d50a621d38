// Drives a browser for a test: a command a line comes in as JSON, [name, ...arguments],
// and an answer a line goes out, {"value": …} or {"error": …}.
const readline = require("readline");
const { chromium } = require("playwright-core");

const [executablePath] = process.argv.slice(2);
const OPTIONS = [
  "--no-sandbox", // in a container there is only root
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--use-angle=swiftshader", // WebGL without a graphics card
  "--enable-unsafe-swiftshader",
  "--ignore-gpu-blocklist",
];
let browser, page;
const asked = new Set();
const complaints = [];
const run = (code) => eval(`(${code})`);

const commands = {
  async start(width, height, timeout) {
    browser = await chromium.launch({ executablePath, headless: true, args: OPTIONS });
    page = await browser.newPage({ viewport: { width, height } });
    page.setDefaultTimeout(timeout);
    page.on("request", (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol.startsWith("http")) asked.add(host);
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
  },
  remember: (key, value) =>
    page.addInitScript(
      ([k, v]) => location.protocol === "http:" && localStorage.setItem(k, v),
      [key, value]
    ),
  open: (url) => page.goto(url, { waitUntil: "domcontentloaded" }).then(() => null),
  wait: (code, given) => page.waitForFunction(run(code), given).then(() => null),
  evaluate: (code, given) => page.evaluate(run(code), given),
  click: (selector) => page.locator(selector).click(),
  doubleClick: (selector) => page.locator(selector).dblclick(),
  picture: (path) => page.screenshot({ path }).then(() => null),
  hosts: () => [...asked],
  complaints: () => complaints,
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...given] = JSON.parse(line);
    let answer;
    try {
      answer = { value: (await commands[name](...given)) ?? null };
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  if (browser) await browser.close();
})();
