// Draws the status page: asks /metrics, /api/v1/status and /api/v1/inspect every two seconds, and shows what they say.
"use strict";

const EVERY_MS = 2000, STALE_MS = 7000, KEPT = 150, OVER_S = 10;
const $ = id => document.getElementById(id);
const looks = [];            // of the last five minutes: {at, m}
const trails = {};          // of each tile
let asked = 0, cameAt = 0, asking = false;

// ---- reading ----

// Prometheus text, to {name: [{labels, value}]}.
function parse(text) {
  const series = {};
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      labels[name] = value.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
    const value = found[3] === "+Inf" ? Infinity : Number(found[3]);
    (series[found[1]] = series[found[1]] || []).push({ labels, value });
  }
  return series;
}

const matching = (m, name, want = {}) =>
  (m[name] || []).filter(s => Object.entries(want).every(([k, v]) => s.labels[k] === v));
const sum = (m, name, want) => matching(m, name, want).reduce((all, s) => all + s.value, 0);
const most = (m, name, want) => matching(m, name, want).reduce((top, s) => Math.max(top, s.value), 0);
const distinct = (m, name, label) => [...new Set((m[name] || []).map(s => s.labels[label]))];

// The look of about OVER_S ago; rates are between it and the newest.
function before() {
  const now = looks[looks.length - 1];
  for (let i = looks.length - 2; i >= 0; i--)
    if (now.at - looks[i].at >= OVER_S * 1000 - 500) return looks[i];
  return looks.length > 1 ? looks[0] : null;
}

// A second's share of a counter, or null before there are two looks or across a restart.
function rate(name, want) {
  const now = looks[looks.length - 1], then = before();
  if (!then || now.at <= then.at) return null;
  const grown = sum(now.m, name, want) - sum(then.m, name, want);
  return grown < 0 ? null : grown / ((now.at - then.at) / 1000);
}

function quantile(q, name, want) {
  const now = looks[looks.length - 1].m, then = before();
  const bounds = new Map();
  for (const s of matching(now, name + "_bucket", want))
    bounds.set(s.labels.le, (bounds.get(s.labels.le) || 0) + s.value);
  if (then)
    for (const s of matching(then.m, name + "_bucket", want))
      if (bounds.has(s.labels.le)) bounds.set(s.labels.le, bounds.get(s.labels.le) - s.value);
  const sorted = [...bounds].map(([le, n]) => [le === "+Inf" ? Infinity : Number(le), n]).sort((a, b) => a[0] - b[0]);
  const all = sorted.length ? sorted[sorted.length - 1][1] : 0;
  if (!(all > 0)) return null;
  let low = 0, passed = 0;
  for (const [bound, n] of sorted) {
    if (n >= q * all) return bound === Infinity ? low : low + (bound - low) * (q * all - passed) / (n - passed || 1);
    low = bound;
    passed = n;
  }
  return low;
}

// ---- writing ----

const number = n => n == null || n < 0 ? "–" : n.toLocaleString("en-US", { maximumFractionDigits: n < 10 && n % 1 ? 1 : 0 });
const perSecond = n => n == null ? "–" : number(n) + "/s";
const percent = n => n == null ? "–" : (n * 100 < 10 && n * 100 % 1 ? (n * 100).toFixed(1) : Math.round(n * 100)) + " %";
function seconds(s) {
  if (s == null) return "–";
  if (s < 1) return Math.round(s * 1000) + " ms";
  if (s < 60) return (s < 10 ? s.toFixed(1) : Math.round(s)) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
  return s < 86400 ? Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min" : Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}
function bytes(n) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (n < 1024) return (n < 10 && n % 1 ? n.toFixed(1) : Math.round(n)) + " " + unit;
    n /= 1024;
  }
  return n.toFixed(1) + " GiB";
}

function element(tag, how, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(how || {}))
    if (name === "class") made.className = value; else if (value != null) made.setAttribute(name, value);
  made.append(...inside.filter(x => x != null));
  return made;
}
const code = text => element("span", { class: "code" }, text);
const text = (node, words) => { if (node.textContent !== words) node.textContent = words; };

// columns: [title, class, cell(row)]; a cell is a text or a node.
function table(node, columns, rows, none) {
  if (!rows.length) {
    node.replaceChildren(element("tbody", {}, element("tr", {}, element("td", { class: "empty" }, none))));
    return;
  }
  node.replaceChildren(
    element("thead", {}, element("tr", {}, ...columns.map(([title, how]) => element("th", { class: how, scope: "col" }, title)))),
    element("tbody", {}, ...rows.map(row => element("tr", {}, ...columns.map(([, how, cell]) => element("td", { class: how }, cell(row)))))));
}
const pairs = (node, rows) => node.replaceChildren(element("tbody", {},
  ...rows.map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)))));

// ---- the flow, and what holds it up ----

function share(name, value, how) {
  if (value === undefined) return null;
  const fill = element("i");
  fill.style.width = Math.min(100, (value || 0) * 100) + "%";
  return element("div", { class: "share" }, name, element("span", { class: "bar " + how }, fill), element("b", {}, percent(value)));
}

function stages(m) {
  const busy = stage => { const r = rate("millrace_stage_busy_seconds_total", { stage }); return r == null ? null : Math.min(1, r); };
  const blocked = stage => { const r = rate("millrace_stage_blocked_seconds_total", { stage }); return r == null ? null : Math.min(1, r); };
  const state = name => sum(m, "millrace_records", { state: name });
  const failed = { outcome: "failed" };
  return [
    { id: "source", title: "Source", rate: rate("millrace_source_records_total"), blocked: blocked("source"), holds: state("taken"),
      more: `open ${number(sum(m, "millrace_open_records"))} of ${number(sum(m, "millrace_open_records_limit"))}` },
    { id: "request", title: "Script: request", rate: rate("millrace_script_duration_seconds_count", { hook: "request" }), busy: busy("request"), holds: state("decoded") },
    { id: "http", title: "HTTP", rate: rate("millrace_http_requests_total"), busy: busy("http"), blocked: blocked("http"), holds: state("asking") + state("resting"),
      more: `${number(sum(m, "millrace_http_in_flight"))} in flight, ${number(sum(m, "millrace_http_waiting_lookups"))} wait` },
    { id: "transform", title: "Script: transform", rate: rate("millrace_script_duration_seconds_count", { hook: "transform" }), busy: busy("transform"), holds: state("answered"),
      more: `${number(sum(m, "millrace_blocked_records"))} wait for order` },
    { id: "sink", title: "Sink", rate: rate("millrace_sink_events_total"), blocked: blocked("sink"), holds: state("released") + state("sending"),
      more: `${number(state("sending"))} not acknowledged` },
    { id: "errors", title: "Error stream", rate: rate("millrace_events_total", failed), more: `${number(sum(m, "millrace_events_total", failed))} failed in all` },
  ];
}

// The stage that sets the pace, and why in words; none while nothing is held up.
function bottleneck(all) {
  const of = Object.fromEntries(all.map(s => [s.id, s]));
  const cpu = (of.request.busy || 0) + (of.transform.busy || 0);
  if (of.sink.blocked > .1) return ["sink", "The sink's brokers take nothing: intake waits for them."];
  if (of.http.blocked > .3) return ["http", "Lookups wait and none is in flight: hosts are paused, back off, or the breaker is open."];
  if (cpu > .7) {
    const id = of.transform.busy >= of.request.busy ? "transform" : "request";
    return [id, `The script computes ${percent(cpu)} of the time: one core is all that one process has.`];
  }
  if (of.http.busy > .9) return ["http", "All slots for calls are in use: the upstream, or its concurrency, sets the pace."];
  if (!(of.source.blocked > .1)) return [null, ""];
  const holder = all.filter(s => s.holds > 0).sort((a, b) => b.holds - a.holds)[0];
  return holder ? [holder.id, `There is no room for more: ${number(holder.holds)} open records are at this stage.`] : [null, ""];
}

function drawFlow(m) {
  const all = stages(m), [worst, why] = bottleneck(all);
  $("flow").replaceChildren(...all.map(s => element("li", { id: "stage-" + s.id, class: [s.id === "errors" && "errors", s.id === worst && "bottleneck"].filter(Boolean).join(" ") },
    element("h3", {}, s.title), element("div", { class: "rate" }, perSecond(s.rate)), element("div", { class: "more" }, s.more || ""),
    share("busy", s.busy, ""), share("blocked", s.blocked, "blocked"))));
  $("verdict").className = worst ? "warn" : "soft";
  text($("verdict"), looks.length < 2 ? "Rates need a second look." : worst ? why : "Nothing is held up.");
}

// ---- tiles ----

function tiles(m) {
  const ended = rate("millrace_events_total"), enriched = rate("millrace_events_total", { outcome: "enriched" });
  const total = sum(m, "millrace_events_total");
  const inFlight = sum(m, "millrace_http_in_flight"), limit = sum(m, "millrace_http_concurrency_limit");
  const fresh = most(m, "millrace_freshness_lag_seconds"), failed = sum(m, "millrace_events_total", { outcome: "failed" });
  const p95 = quantile(.95, "millrace_http_request_duration_seconds");
  const share = ended > 0 ? enriched / ended : total ? sum(m, "millrace_events_total", { outcome: "enriched" }) / total : null;
  const lag = sum(m, "millrace_kafka_consumer_lag_records");
  return [
    ["freshness", "Freshness", fresh, seconds(fresh), "age of the oldest unfinished event"],
    ["lag", "Lag", lag, number(lag), "records not committed yet"],
    ["enriched", "Enriched", share, percent(share), "of the records that ended lately, else of all"],
    ["errors", "Errors", failed, number(failed), "failed records since the start"],
    ["in-flight", "In flight / limit", inFlight, `${number(inFlight)} / ${number(limit)}`, "calls"],
    ["p95", "p95 of calls", p95, seconds(p95), "duration of the calls that ended lately"],
  ];
}

function spark(values) {
  const NS = "http://www.w3.org/2000/svg", svg = document.createElementNS(NS, "svg");
  const width = Math.max(30, values.length);
  svg.setAttribute("viewBox", `0 0 ${width - 1} 30`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const top = Math.max(...values.filter(v => v != null), 1e-9), from = width - values.length;
  const points = values.map((v, i) => `${from + i},${(28 - 26 * (v || 0) / top).toFixed(1)}`);
  for (const [how, d] of [["area", `M${from},30 L${points.join(" L")} L${width - 1},30 Z`], ["", `M${points.join(" L")}`]]) {
    const path = document.createElementNS(NS, "path");
    path.setAttribute("d", d);
    path.setAttribute("class", how);
    svg.append(path);
  }
  return svg;
}

function drawTiles(m) {
  $("tiles").replaceChildren(...tiles(m).map(([id, title, value, shown, about]) => {
    const kept = trails[id] = [...(trails[id] || []), value].slice(-KEPT);
    return element("div", { class: "tile" + (id === "errors" && kept[0] < value ? " bad" : ""), title: about },
      element("h3", {}, title), element("output", { id: "tile-" + id, "data-value": value == null ? "" : value }, shown), spark(kept));
  }));
}

// ---- tables ----

const place = r => code(`${r.topic}/${r.partition}/${r.offset}`);
const WAITS = { lookups: "its answers", diff: "a diff", rest: "its next start", schema: "a schema", sink: "room at the sink", broker: "the sink's brokers", turn: "its turn" };
const LOOKUP = { answer: "in flight", "back-off": "backs off", "paused host": "host is paused", breaker: "breaker is open", slot: "waits for a slot", nothing: "" };

function drawStuck(oldest) {
  table($("stuck"), [
    ["record", "rec", r => place(r)],
    ["open for", "n", r => seconds(r.open)],
    ["waits for", "", r => WAITS[r.waits_for] || r.waits_for],
    ["lookup", "wide", r => {
      const box = element("div");
      for (const l of r.lookups) box.append(element("div", {}, code(`${l.method} ${l.url}`), l.host ? element("span", { class: "soft" }, ` Host: ${l.host}`) : null));
      if (r.lookups_open > r.lookups.length && r.lookups.length) box.append(`and ${r.lookups_open - r.lookups.length} more`);
      return box;
    }],
    ["attempt", "n", r => r.lookups.length ? String(Math.max(...r.lookups.map(l => l.calls + (l.waits_for === "answer" ? 0 : 1)))) : String(r.attempt)],
    ["next try", "one", r => {
      if (r.next_try != null) return "in " + seconds(r.next_try);
      const l = r.lookups[0];
      if (!l) return "–";
      return l.next_try != null ? `in ${seconds(l.next_try)} (${LOOKUP[l.waits_for]})` : LOOKUP[l.waits_for] + (l.in_flight != null ? ` for ${seconds(l.in_flight)}` : "");
    }],
    ["followers", "n", r => r.followers >= 1000 ? "1,000 or more" : number(r.followers)],
  ], oldest, "Nothing is unfinished.");
}

function drawFailures(failures) {
  const open = $("token").value !== "";
  table($("failures"), [
    ["time", "one", f => f.time.replace("T", " ").replace(/\.\d+Z$/, " Z")],
    ["record", "rec", f => place(f)],
    ["type", "", f => element("span", { class: "bad" }, f.type)],
    ["message", "wide", f => f.message == null ? element("span", { class: "soft" }, "shown on the engine's machine only") : f.message],
    ["", "", f => {
      const button = element("button", { type: "button", "data-number": f.number, title: open ? "the event as it came" : "needs the token", disabled: open && f.kept ? null : "" }, "copy as fixture");
      button.addEventListener("click", () => copyFixture(f));
      return button;
    }],
  ], failures, "No record has failed since the start.");
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function copyFixture(f) {
  $("fixture").hidden = false;
  $("fixture-text").value = "";
  try {
    const answer = await fetch(`/api/v1/failure?number=${f.number}`, { headers: { Authorization: "Bearer " + $("token").value }, cache: "no-store" });
    let body = await answer.text();
    if (!answer.ok) return text($("fixture-said"), body.trim());
    if (isJson(body)) body = body.replace(/[\r\n]/g, " "); // between values a newline is as good as a space
    $("fixture-text").value = body;
    const copied = await navigator.clipboard.writeText(body).then(() => true, () => false);
    text($("fixture-said"), `${f.topic}/${f.partition}/${f.offset}, ${copied ? "copied" : "to be copied from here"}: one line of an events file, or \`event_file\` of a test.`);
  } catch (error) {
    text($("fixture-said"), "no answer: " + error.message);
  }
}

function drawPartitions(m, seen) {
  const of = (name, p) => { const s = matching(m, name, { topic: p.topic, partition: String(p.partition) }); return s.length ? s[0].value : null; };
  const rows = seen.partitions.map(p => ({ ...p, lag: of("millrace_kafka_consumer_lag_records", p), fresh: of("millrace_freshness_lag_seconds", p) }));
  rows.sort((a, b) => (b.lag || 0) - (a.lag || 0));
  table($("partitions"), [
    ["partition", "", p => code(`${p.topic}/${p.partition}`)],
    ["state", "", p => p.state],
    ["committed", "n", p => number(p.committed)],
    ["safe offset", "n", p => number(p.safe)],
    ["next", "n", p => number(p.next)],
    ["end", "n", p => number(p.end)],
    ["lag", "n", p => number(p.lag)],
    ["freshness", "n", p => seconds(p.fresh)],
    ["open", "n", p => number(p.open)],
  ], rows, "No partition is assigned.");
  if (seen.partitions_all > rows.length) $("partitions").append(element("caption", {}, `${number(seen.partitions_all - rows.length)} more are not shown`));
}

function drawUpstreams(m, seen) {
  const circuit = u => (matching(m, "millrace_http_circuit_state", { upstream: u }).find(s => s.value === 1) || { labels: {} }).labels.state || "closed";
  const throttled = u => rate("millrace_http_throttled_seconds_total", { upstream: u });
  table($("upstreams"), [
    ["upstream", "", u => u],
    ["calls", "n", u => perSecond(rate("millrace_http_requests_total", { upstream: u }))],
    ["p50", "n", u => seconds(quantile(.5, "millrace_http_request_duration_seconds", { upstream: u }))],
    ["p99", "n", u => seconds(quantile(.99, "millrace_http_request_duration_seconds", { upstream: u }))],
    ["in flight / limit", "n", u => `${number(sum(m, "millrace_http_in_flight", { upstream: u }))} / ${number(sum(m, "millrace_http_concurrency_limit", { upstream: u }))}`],
    ["retries", "n", u => perSecond(rate("millrace_http_retries_total", { upstream: u }))],
    ["throttled", "n", u => { const t = throttled(u); return t == null ? "–" : `${seconds(t)}/s`; }],
    ["breaker", "", u => element("span", { class: circuit(u) === "closed" ? "good" : "bad" }, circuit(u))],
  ], distinct(m, "millrace_http_concurrency_limit", "upstream"), "No upstream is configured.");
  table($("hosts"), [
    ["host", "", h => h.host == null ? `(${h.upstream}'s own)` : h.host],
    ["in flight", "n", h => number(h.in_flight)],
    ["waiting", "n", h => number(h.waiting)],
    ["backing off", "n", h => number(h.backing_off)],
    ["failed in a row", "n", h => element("span", { class: h.failures ? "bad" : "" }, number(h.failures))],
    ["paused for", "n", h => h.paused ? element("span", { class: "warn" }, seconds(h.paused)) : "–"],
    ["in trouble for", "n", h => h.troubled == null ? "–" : element("span", { class: "bad" }, seconds(h.troubled))],
  ], seen.hosts, "No host was asked lately.");
  if (seen.hosts_all > seen.hosts.length) $("hosts").append(element("caption", {}, `the worst ${seen.hosts.length} of ${number(seen.hosts_all)}`));
}

function drawScript(m, status) {
  const s = status.script;
  const hook = name => `p99 ${seconds(quantile(.99, "millrace_script_duration_seconds", { hook: name }))}`;
  pairs($("script"), [
    ["file", code(s.path || "–")], ["sha256", element("span", { class: "code", title: s.sha256 }, s.sha256.slice(0, 12))],
    ["loaded", `${s.loaded_at.replace("T", " ").replace(/\.\d+Z$/, " Z")}`], ["last reload", s.last_outcome || "none yet"],
    ["states alive", number(s.states)], ["request", hook("request")], ["transform", hook("transform")],
    ["errors", number(sum(m, "millrace_script_errors_total"))],
  ]);
  $("reload-error").hidden = !s.last_error;
  text($("reload-error"), s.last_error ? `The script was not exchanged, the old one goes on.\n${s.last_error}` : "");
}

function drawMemory(m) {
  const limit = sum(m, "millrace_memory_limit_bytes"), kinds = matching(m, "millrace_memory_bytes");
  const used = kinds.reduce((all, s) => all + s.value, 0);
  $("memory-bar").replaceChildren(...kinds.map((s, i) => {
    const part = element("i", { class: "k" + (i % 8 + 1), title: `${s.labels.kind}: ${bytes(s.value)}` });
    part.style.width = (limit ? s.value / limit * 100 : 0) + "%";
    return part;
  }));
  $("memory-bar").setAttribute("aria-label", `${bytes(used)} of ${bytes(limit)}`);
  table($("memory"), [
    ["part", "", s => element("span", {}, element("i", { class: "dot " + s.how }), s.name)],
    ["bytes", "n", s => bytes(s.value)],
    ["of the budget", "n", s => limit ? percent(s.value / limit) : "–"],
  ], [...kinds.map((s, i) => ({ name: s.labels.kind, value: s.value, how: "k" + (i % 8 + 1) })),
    { name: `all, of ${bytes(limit)}`, value: used, how: "" }, { name: "resident (the system's count)", value: sum(m, "process_resident_memory_bytes"), how: "" }], "");
}

function drawHead(m, status) {
  document.title = `${status.name}: ${status.state}`;
  text($("name"), status.name);
  $("state").className = "badge " + status.state;
  text($("state"), status.state);
  text($("about"), `millrace ${status.version}, group ${status.group}, up ${seconds(Date.now() / 1000 - sum(m, "process_start_time_seconds"))}`);
}

// ---- the round ----

function showAge() {
  const age = Date.now() - (cameAt || asked);
  const stale = age > STALE_MS;
  document.body.classList.toggle("stale", stale);
  $("stale").hidden = !stale;
  if (stale) text($("stale"), `The engine has not answered for ${seconds(age / 1000)}: what is below is old.`);
  if (cameAt) text($("updated"), `updated ${Math.round(age / 1000)} s ago`);
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer;
}

async function look() {
  if (asking || document.hidden) return;
  asking = true;
  asked = asked || Date.now();
  try {
    const [metrics, status, seen] = await Promise.all(
      [ask("/metrics").then(a => a.text()), ask("/api/v1/status").then(a => a.json()), ask("/api/v1/inspect").then(a => a.json())]);
    const m = parse(metrics);
    cameAt = Date.now();
    looks.push({ at: cameAt, m });
    if (looks.length > OVER_S * 1000 / EVERY_MS + 2) looks.shift();
    drawHead(m, status);
    drawFlow(m);
    drawTiles(m);
    drawStuck(seen.oldest);
    if (!$("failures").contains(document.activeElement)) drawFailures(seen.failures);
    drawPartitions(m, seen);
    drawUpstreams(m, seen);
    drawScript(m, status);
    drawMemory(m);
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof DOMException)) text($("updated"), error.message);
  } finally {
    asking = false;
  }
}

$("unlock").addEventListener("submit", event => event.preventDefault());
$("token").addEventListener("input", () => look());
document.addEventListener("visibilitychange", () => look());
setInterval(look, EVERY_MS);
setInterval(showAge, 1000);
look();
