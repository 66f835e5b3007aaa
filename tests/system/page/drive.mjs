// A browser at the end of a pipe: takes commands as lines of JSON, answers each with one. Driven by test_page.py.
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, executablePath] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), "millrace-page-"));
const context = await chromium.launchPersistentContext(home, {
  executablePath, headless: true, viewport: { width: 1240, height: 900 }, permissions: ["clipboard-read", "clipboard-write"],
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
const page = context.pages()[0] || await context.newPage();
const foreign = [], complaints = [];
page.on("request", r => { if (new URL(r.url()).origin !== new URL(url).origin && !r.url().startsWith("data:")) foreign.push(r.url()); });
page.on("console", m => { if (["error", "warning"].includes(m.type())) complaints.push(m.text()); });
page.on("pageerror", e => complaints.push(String(e)));

const verbs = {
  open: async () => { const answer = await page.goto(url); return { headers: answer.headers(), status: answer.status() }; },
  // What an expression is in the page.
  eval: async ({ script }) => page.evaluate(script),
  // Asked from here: the page's policy forbids waiting within it for a text of code.
  until: async ({ script, seconds }) => {
    const end = Date.now() + seconds * 1000;
    while (!await page.evaluate(script)) {
      if (Date.now() > end) throw new Error(`never in ${seconds} s; the page says: ${(await page.innerText("body")).slice(0, 1500)}`);
      await new Promise(done => setTimeout(done, 100));
    }
    return true;
  },
  fill: async ({ selector, text }) => page.fill(selector, text),
  click: async ({ selector }) => page.click(selector),
  press: async ({ key }) => page.keyboard.press(key),
  size: async ({ width, height }) => page.setViewportSize({ width, height }),
  scheme: async ({ scheme }) => page.emulateMedia({ colorScheme: scheme }),
  shot: async ({ path }) => { await page.screenshot({ path, fullPage: true }); return path; },
  seen: async () => ({ foreign, complaints }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await verbs[command.verb](command) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await context.close();
rmSync(home, { recursive: true, force: true });
