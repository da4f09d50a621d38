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
  "--disable-gpu-compositing", // it would be in software, and two thirds of the time
];
const LOOK_MS = 250; // between two looks; every frame, the default, makes the page draw
const DRAW_AGAIN_MS = 3_000;
const CLICK_AGAIN_MS = 20_000; // longer, for a second click may undo a slow first one
let browser, page, within;
const asked = new Set();
const complaints = [];
const run = (code) => eval(`(${code})`);

const holds = (code, given, timeout) =>
  page.waitForFunction(run(code), given, { timeout, polling: LOOK_MS }).then(
    () => true,
    (error) => {
      if (error.name === "TimeoutError") return false;
      throw error;
    }
  );

// A busy page loses what is done to it: it is done again until its effect shows.
async function until(code, given, what, againMs, act) {
  const end = Date.now() + within;
  let held = await page.evaluate(run(code), given);
  for (let times = 0; !held; times++) {
    if (Date.now() >= end) throw new Error(`${what}: ${times} times without effect`);
    await act();
    held = await holds(code, given, againMs);
  }
  return null;
}

async function onElement(action, selector, code, given) {
  const there = page.locator(selector);
  if (!(await page.evaluate(run(code), given))) await there.waitFor();
  const act = async () => {
    if (await there.isVisible()) await there[action]();
  };
  return until(code, given, `${action} ${selector}`, CLICK_AGAIN_MS, act);
}

const commands = {
  async start(width, height, timeout) {
    browser = await chromium.launch({ executablePath, headless: true, args: OPTIONS });
    page = await browser.newPage({ viewport: { width, height } });
    within = timeout;
    page.setDefaultTimeout(within);
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
  async wait(code, given) {
    if (await holds(code, given, within)) return;
    throw new Error(`not within ${within} ms: ${code} (${JSON.stringify(given)})`);
  },
  evaluate: (code, given) => page.evaluate(run(code), given),
  evaluateUntil: (act, code, given) =>
    until(code, given, act, DRAW_AGAIN_MS, () => page.evaluate(run(act))),
  clickUntil: (...given) => onElement("click", ...given),
  doubleClickUntil: (...given) => onElement("dblclick", ...given),
  size: (width, height) => page.setViewportSize({ width, height }).then(() => null),
  fill: (selector, text) => page.fill(selector, text).then(() => null),
  click: (selector) => page.click(selector).then(() => null),
  press: (key) => page.keyboard.press(key).then(() => null),
  address: () => page.url(),
  picture: (path, fullPage = false) =>
    page.screenshot({ path, fullPage }).then(() => null),
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
