// The page in a real browser: node browse.mjs house|stream MODULES ADDRESS TOKEN [FOLDER for screenshots]
// The first says what the daemon there does. Every step throws where the page is not as it should be.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const [daemon, modules, address, token, shots] = process.argv.slice(2);
const require = createRequire(resolve(modules, "node_modules", "x"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const home = `http://${address}/`;
const WAIT = { timeout: 20_000 };

const profile = mkdtempSync(join(tmpdir(), "page-"));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
  env: { ...process.env, HOME: profile },
});

const wrong = [];
const foreign = [];

// A window of its own that notes what must never happen.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => wrong.push(`${error}`));
  page.on("console", (message) => {
    // A refusal that a step asks for shows as a failed resource, and is checked there.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) wrong.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol === "http:" && host !== address && !host.startsWith("127.0.0.1:")) foreign.push(request.url());
    if (!["http:", "data:", "about:"].includes(protocol)) foreign.push(request.url());
  });
  page.setDefaultTimeout(WAIT.timeout);
  return page;
}

async function shoot(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

async function accessible(page, name) {
  // Playwright's evaluation is not bound by the page's policy, as a script tag would be.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const said = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`);
  assert.deepEqual(said, [], name);
}

async function logIn(page) {
  await page.goto(`${home}log-in`);
  await page.getByLabel("Your name").fill("Test person");
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL(home);
}

const card = (page, name) =>
  page.locator("#source-list > li").filter({ has: page.getByRole("heading", { name, exact: true }) });
const badge = (page, name, state) => card(page, name).locator(".badge").filter({ hasText: new RegExp(`^${state}$`) });
const said = (page, hasText) => page.locator("#said").filter({ hasText }).waitFor(WAIT);
const drawn = (page) => page.locator("#plot[data-points]:not([data-points='0'])").waitFor(WAIT);

// A daemon that judges the readings of a house itself.
const house = {
  async "everybody sees what runs, live, and can change nothing"() {
    const page = await open();
    await page.goto(home);
    await page.locator("#incident-list > li").first().waitFor(WAIT);
    await drawn(page);
    const colours = await page.locator("#plot canvas").evaluateAll((all) => all.map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    }));
    assert.ok(colours.length === 2 && colours.every((count) => count > 10), `values and scores are drawn: ${colours}`);
    const before = await page.locator("#source-house").innerText();
    await page.waitForFunction((old) => document.getElementById("source-house").innerText !== old, before, WAIT);
    assert.deepEqual(await page.locator("main form[method=post], button:has-text('Stop')").count(), 0);
    await page.getByText("As a table").click();
    await page.locator("#row-list tr").nth(5).waitFor(WAIT);
    await shoot(page, "light");
    await accessible(page, "light");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForTimeout(0);
    await accessible(page, "dark");
    await page.reload();
    await drawn(page);
    await shoot(page, "dark");
    await page.context().close();
  },

  async "it is as good at 320 pixels"() {
    const page = await open({ viewport: { width: 320, height: 700 } });
    await page.goto(home);
    await drawn(page);
    const width = await page.evaluate(() => document.scrollingElement.scrollWidth);
    assert.ok(width <= 320, `it is ${width} pixels wide`);
    await accessible(page, "narrow");
    await shoot(page, "narrow");
    await page.context().close();
  },

  async "a wrong token lets nobody in"() {
    const page = await open();
    await page.goto(home);
    await page.getByRole("link", { name: "Log in" }).first().click();
    await accessible(page, "log-in");
    await page.getByLabel("Token").fill(`${token}x`);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").filter({ hasText: "wrong token" }).waitFor(WAIT);
    await accessible(page, "log-in again");
    assert.deepEqual(await page.context().cookies(), []);
    await page.context().close();
  },

  async "who is logged in acknowledges and mutes, by keyboard alone"() {
    const page = await open();
    await page.goto(home);
    await page.locator("#incident-list > li").first().waitFor(WAIT);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    const tab = async (name) => {
      for (let presses = 0; presses < 200; presses += 1) {
        await page.keyboard.press("Tab");
        const found = await page.evaluate(() => document.activeElement.textContent.trim());
        if (found.startsWith(name)) {
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          assert.equal(outline, "solid", `${name} shows that it has the focus`);
          return;
        }
      }
      assert.fail(`there is no way to ${name} by keyboard`);
    };
    await tab("Log in");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${home}log-in`);
    await page.getByLabel("Your name").focus();
    await page.keyboard.type("Test person");
    await page.keyboard.press("Tab");
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await page.waitForURL(home);
    await shoot(page, "logged-in");
    await tab("Acknowledge");
    await page.keyboard.press("Enter");
    await said(page, /acknowledged by Test person/);
    await page.waitForFunction(() => document.activeElement.id === "said", null, WAIT);
    await page.locator("#incident-list").getByText(/acknowledged by Test person/).first().waitFor(WAIT);
    await page.waitForFunction(() => document.querySelector("button[value=mute]"), null, WAIT);
    await tab("Mute");
    await page.keyboard.press("Enter");
    await said(page, /muted until/);
    await accessible(page, "logged in");
    const [cookie] = await page.context().cookies();
    assert.ok(cookie.httpOnly && cookie.sameSite === "Strict" && cookie.value.length === 64, JSON.stringify(cookie));
    await page.context().close();
  },

  async "sources stop, start, and give normal and anomaly data at a rate"() {
    const page = await open();
    await logIn(page);
    const source = card(page, "house");
    await source.getByRole("button", { name: "Stop" }).click();
    await said(page, "house stops");
    await badge(page, "house", "stopped").waitFor(WAIT);
    await source.getByRole("button", { name: "Start normal data" }).click();
    await said(page, "house gives normal data");
    await badge(page, "house", "running").waitFor(WAIT);
    await source.getByRole("button", { name: "Start anomaly data" }).click();
    await said(page, "house gives anomaly data");
    await source.getByText("with faults").waitFor(WAIT);
    await source.getByLabel("Readings a second").fill("40");
    await source.getByRole("button", { name: "Set" }).click();
    await said(page, "house gives 40 readings a second");
    await source.getByLabel("Readings a second").fill("99999999");
    await source.getByRole("button", { name: "Set" }).click();
    await page.getByRole("alert").filter({ hasText: "cannot give" }).waitFor(WAIT);
    await shoot(page, "refused");
    await accessible(page, "refused");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.waitForURL(home);
    assert.equal(await page.getByRole("button", { name: "Stop" }).count(), 0);
    await page.context().close();
  },

  async "a template is edited, and used only where it holds"() {
    const page = await open();
    await logIn(page);
    await card(page, "clicks").getByRole("link", { name: "Edit the template" }).click();
    const text = page.getByLabel("Template of clicks");
    const before = await text.inputValue();
    assert.match(before, /browseraction/);
    await text.fill(before.replace(/^rate = .*$/m, "rate = -1"));
    await page.getByRole("button", { name: "Use this template" }).click();
    await page.getByRole("alert").filter({ hasText: "use a number from" }).waitFor(WAIT);
    assert.equal(await page.locator("#wrong pre").count(), 1, "one mistake is told once");
    assert.match(await text.inputValue(), /^rate = -1$/m, "what was written is still there");
    await shoot(page, "template");
    await accessible(page, "template");
    await text.fill(before.replace(/^rate = .*$/m, "rate = 7"));
    await page.getByRole("button", { name: "Use this template" }).click();
    await said(page, "clicks starts with the template");
    await badge(page, "clicks", "running").waitFor(WAIT);
    await card(page, "clicks").getByRole("link", { name: "Edit the template" }).click();
    assert.match(await page.getByLabel("Template of clicks").inputValue(), /^rate = 7$/m);
    await page.context().close();
  },

  async "what a person types is not taken away while the page goes on"() {
    const page = await open();
    await logIn(page);
    const rate = card(page, "house").getByLabel("Readings a second");
    await rate.fill("12");
    const before = await page.locator("#source-house").innerText();
    await page.waitForFunction((old) => document.getElementById("source-house").innerText !== old, before, WAIT);
    assert.equal(await rate.inputValue(), "12");
    await page.context().close();
  },

  async "another site's page changes nothing"() {
    const page = await open();
    await logIn(page);
    const form = await page.locator("input[name=form]").first().inputValue();
    const post = (fields, headers) =>
      page.context().request.post(`${home}source`, { form: fields, headers, maxRedirects: 0 });
    const stop = { name: "house", do: "stop" };
    assert.equal((await post(stop, {})).status(), 403, "without the session's own word");
    assert.equal((await post({ ...stop, form: "0".repeat(64) }, {})).status(), 403, "with another word");
    assert.equal((await post({ ...stop, form }, { origin: "http://evil.example" })).status(), 403, "from elsewhere");
    assert.equal((await page.context().request.get(home, { headers: { host: "evil.example" } })).status(), 403);
    // A page of another origin on this machine sends the form itself.
    const evil = createServer((_, answer) => {
      answer.setHeader("content-type", "text/html");
      answer.end(`<form method="post" action="${home}source"><input name="name" value="house"><input name="do" value="stop">
        <input name="form" value="${form}"><button>Win</button></form>`);
    });
    await new Promise((done) => evil.listen(0, "127.0.0.1", done));
    await page.goto(`http://127.0.0.1:${evil.address().port}/`);
    const [answer] = await Promise.all([page.waitForResponse(`${home}source`), page.getByRole("button").click()]);
    assert.equal(answer.status(), 403);
    evil.close();
    await page.goto(home);
    await badge(page, "house", "running").waitFor(WAIT);
    await page.context().close();
  },

  async "it works without scripts"() {
    const page = await open({ javaScriptEnabled: false });
    await logIn(page);
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByText("As a table").click();
    assert.ok((await page.locator("#row-list tr").count()) > 5);
    await card(page, "house").getByRole("button", { name: "Stop" }).click();
    await said(page, "house stops");
    await card(page, "house").getByRole("button", { name: /^Start of/ }).click();
    await said(page, "house starts");
    // What was asked to stop has to end before it starts again.
    const until = Date.now() + WAIT.timeout;
    while ((await badge(page, "house", "running").count()) === 0) {
      assert.ok(Date.now() < until, "house never runs again");
      await page.getByRole("navigation").getByRole("link", { name: "Refresh" }).click();
    }
    await page.context().close();
  },

  // The last step: from here on nobody logs in for a minute.
  async "who guesses tokens has to wait, and who is logged in has not"() {
    const page = await open();
    await logIn(page);
    const guesser = await open();
    await guesser.goto(`${home}log-in`);
    let status = 403;
    for (let guesses = 0; status === 403 && guesses < 20; guesses += 1) {
      await guesser.getByLabel("Token").fill(`guess ${guesses}`);
      const answer = guesser.waitForResponse((response) => response.request().method() === "POST");
      await guesser.getByRole("button", { name: "Log in" }).click();
      status = (await answer).status();
      await guesser.getByRole("alert").filter({ hasText: "Not logged in" }).waitFor(WAIT);
    }
    assert.equal(status, 429);
    await guesser.getByRole("alert").filter({ hasText: /try again in \d+ s/ }).waitFor(WAIT);
    await shoot(guesser, "guessed");
    await accessible(guesser, "guessed");
    await card(page, "house").getByRole("button", { name: "Stop" }).click();
    await said(page, "house stops");
    await guesser.context().close();
    await page.context().close();
  },
};

// A daemon that puts readings of a wind farm into a stream.
const stream = {
  async "a stream is named, and normal and then anomaly data goes there, in three clicks"() {
    const page = await open();
    await logIn(page);
    const arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/readings";
    await page.getByLabel("Stream, by name or ARN").fill(arn);
    await page.getByRole("button", { name: "Use this stream" }).click();
    await said(page, "draining, then restarting with the stream");
    await page.locator("#sink").filter({ hasText: arn }).waitFor(WAIT);
    await page.getByRole("button", { name: "Start normal data" }).click();
    await said(page, "farm gives normal data");
    await page.getByRole("button", { name: "Start anomaly data" }).click();
    await said(page, "farm gives anomaly data");
    await badge(page, "farm", "running").waitFor(WAIT);
    await card(page, "farm").getByText("with faults").waitFor(WAIT);
    await page.waitForFunction(() => !/^0(\.0)?$/.test(document.querySelector("#now-delivered .figure").textContent), null, WAIT);
    await page.context().close();
  },

  async "without scores it shows values, and says why"() {
    const page = await open({ colorScheme: "dark" });
    await page.goto(home);
    await drawn(page);
    assert.equal(await page.locator("#plot canvas").count(), 1);
    await page.getByText("are made behind the stream").waitFor(WAIT);
    await page.getByText("temp-ingest incidents list --table NAME").waitFor(WAIT);
    await accessible(page, "stream");
    await shoot(page, "stream");
    await page.context().close();
  },
};

try {
  for (const [name, step] of Object.entries({ house, stream }[daemon])) {
    const began = Date.now();
    await step();
    console.log(`ok ${name} (${Date.now() - began} ms)`);
  }
  assert.deepEqual(wrong, [], "errors of scripts and of the policy");
  assert.deepEqual(foreign, [], "nothing is asked of other hosts");
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
