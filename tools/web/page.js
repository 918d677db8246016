// The page of a fleet. It talks to nats-server through its WebSocket, with NATS' own client; what is
// on the page is what the server says, and nothing else is asked for.

import { credsAuthenticator, wsconnect } from "@nats-io/nats-core";
import { jetstream } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Chart } from "./chart.js";
import { Fleet, read } from "./fleet.js";

const FIELDS = [
  "period_s", "outbox_policy", "log_level", "server", "outbox", "sync_s", "sleep_s", "awake_s",
  "presence_s", "service", "logs", "version",
];
const PAST_MS = 10 * 60 * 1000; // of readings and logs that are shown
const AGAIN_MS = 3000;
const ASK_MS = 4000; // all boards are asked how many readings wait, one after the other
const LINES = 300;
const DRAW_MS = 1000;
const UNITS = { temp: " °C", uptime: " s", rssi: " dBm" };
const $ = (selector) => document.querySelector(selector);
const decoder = new TextDecoder();

const fleet = new Fleet();
let nc;
let open; // what is shown of one board

// --- the connection

async function main() {
  const settings = await (await fetch("fleet.json")).json();
  const options = {
    servers: settings.server,
    name: "unats page",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    waitOnFirstConnect: true,
    inboxPrefix: "_INBOX.page", // as in gates.py
  };
  if (settings.creds) {
    options.authenticator = credsAuthenticator(new TextEncoder().encode(settings.creds));
  }
  nc = await wsconnect(options);
  link("connected");
  follow(watchLink);
  follow(() => subscribe("sensors.*.*", (msg) => fleet.reading(msg.subject.split("."), json(msg))));
  follow(() => watch("presence", ">", (entry) => fleet.presence(entry)));
  follow(() => watch("config", "*.reported.version", (entry) => fleet.version(entry)));
  setInterval(render, 250);
  follow(askAll);
}

/** Runs something for ever: again a while after it has ended. */
async function follow(run) {
  for (;;) {
    try {
      await run();
    } catch (error) {
      if (nc.isClosed()) return;
      console.debug(String(error)); // a bucket that is not there (yet), an outage
    }
    await pause(AGAIN_MS);
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function link(state) {
  $("#link").textContent = state;
  $("#link").dataset.state = state;
  if (state === "disconnected") fleet.outageBegins();
  else fleet.outageEnds();
}

async function watchLink() {
  for await (const { type } of nc.status()) {
    if (type === "disconnect") link("disconnected");
    else if (type === "reconnect") {
      link("connected");
      if (open) show(open.board); // a server that was started again has no consumers
    }
  }
}

async function subscribe(subject, take) {
  for await (const msg of nc.subscribe(subject)) take(msg);
}

async function watch(bucket, key, take, signal) {
  const kv = await new Kvm(nc).open(bucket);
  await each(await kv.watch({ key }), take, signal);
}

/** Calls take(message) for each that comes, until the signal. */
async function each(messages, take, signal) {
  const stop = () => messages.stop();
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop(); // while it was asked for
  for await (const message of messages) {
    if (!signal?.aborted) take(message);
  }
}

/** Calls take(msg) for what the stream has of a subject since a while, and for what is to come. */
async function past(subject, take, signal) {
  const consumer = await jetstream(nc).consumers.get("READINGS", {
    filter_subjects: subject, // as text it is a part of the request's subject, which permissions see
    deliver_policy: "by_start_time",
    opt_start_time: new Date(Date.now() - PAST_MS).toISOString(),
  });
  await each(await consumer.consume(), take, signal);
}

const json = (msg) => read(msg.data);

/** How many readings wait on each board. */
async function askAll() {
  for (;;) {
    const boards = fleet.there();
    for (const board of boards) {
      if (!nc.isClosed()) ask(board);
      await pause(Math.max(ASK_MS / boards.length, 20));
    }
    if (!boards.length) await pause(ASK_MS);
  }
}

async function ask(board) {
  try {
    const info = json(await nc.request(`devices.${board.name}.info`, "", { timeout: 2000 }));
    board.info = info;
  } catch {
    // it is away, and its presence tells
  }
}

// --- all boards

const cards = new Map();

function card(board) {
  const found = document.createElement("button");
  found.className = "board";
  found.dataset.name = board.name;
  found.innerHTML = `<span class="state"></span><b></b><br><span class="age"></span>
    <span class="waiting"></span><ul></ul>`;
  found.querySelector("b").textContent = board.name;
  found.addEventListener("click", () => show(board));
  const later = [...cards.keys()].sort().find((name) => name > board.name);
  $("#boards").insertBefore(found, later ? cards.get(later) : null);
  cards.set(board.name, found);
  return found;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function render() {
  const wanted = $("#filter").value.trim();
  let there = 0;
  for (const board of fleet.boards.values()) {
    const state = board.state();
    there += state === "up";
    const element = cards.get(board.name) ?? card(board);
    element.hidden = !board.name.includes(wanted);
    if (element.hidden) continue;
    const label = element.querySelector(".state");
    set(label, state);
    label.dataset.state = state;
    set(element.querySelector(".age"), board.age());
    const waiting = board.waiting();
    set(element.querySelector(".waiting"), waiting ? `${waiting} waiting` : "");
    const list = element.querySelector("ul");
    for (const [kind, { value }] of board.last) {
      let item = list.querySelector(`[data-kind="${CSS.escape(kind)}"]`);
      if (!item) {
        item = list.appendChild(document.createElement("li"));
        item.dataset.kind = kind;
        item.innerHTML = "<span></span> <output></output>";
        set(item.firstChild, kind);
      }
      set(item.lastChild, shown(kind, value));
    }
  }
  set($("#count"), `${there} of ${fleet.boards.size} up`);
  if (open) renderOpen();
}

function shown(kind, value) {
  return kind === "heap" ? `${(value / 1024).toFixed(1)} KB` : `${value}${UNITS[kind] ?? ""}`;
}

// --- one board

function show(board) {
  hide();
  const stop = new AbortController();
  open = { board, stop, charts: new Map(), config: new Map(), drawAt: 0 };
  $("main").classList.add("open");
  $("#detail").hidden = false;
  cards.get(board.name).setAttribute("aria-pressed", "true");
  set($("#detail h2"), board.name);
  set($("#answer"), "");
  const here = open;
  const until = (run) => (async () => {
    while (open === here) {
      await run().catch((error) => console.debug(String(error)));
      if (open === here) await pause(AGAIN_MS);
    }
  })();
  until(() => past(`sensors.${board.name}.*`, (msg) => {
    fleet.past(msg.subject.split("."), json(msg), msg.time.getTime());
  }, stop.signal));
  until(() => past(`logs.${board.name}.*`, addLog, stop.signal));
  until(() => watch("config", `${board.name}.*.>`, takeConfig, stop.signal));
  render();
}

function hide() {
  if (!open) return;
  open.stop.abort();
  for (const chart of open.charts.values()) chart.destroy();
  cards.get(open.board.name).removeAttribute("aria-pressed");
  open = undefined;
  $("main").classList.remove("open");
  $("#detail").hidden = true;
  for (const id of ["charts", "logs", "config", "facts"]) $(`#${id}`).replaceChildren();
}

function renderOpen() {
  const { board, charts } = open;
  const state = $("#detail .state");
  set(state, board.state());
  state.dataset.state = board.state();
  facts(board);
  if (Date.now() >= open.drawAt) {
    open.drawAt = Date.now() + DRAW_MS;
    for (const kind of board.series.keys()) {
      if (!charts.has(kind)) charts.set(kind, new Chart($("#charts"), kind, shown));
      charts.get(kind).draw(board.series.get(kind), fleet.outages, board.gaps);
    }
  }
  const version = board.reported;
  $("#update").hidden = !version || !(version.progress || version.trial || version.error || version.waiting);
  if (version) {
    $("#update progress").value = version.progress ?? (version.trial ? 100 : 0);
    const text = version.error ?? version.waiting ?? (version.trial ? "on trial" : `${version.progress} %`);
    set($("#update span"), `update: ${text}`);
  }
}

function facts(board) {
  const { presence: p = {}, info: i = {} } = board;
  const told = {
    version: board.reported?.value ?? p.version, boot: p.boot, "last reset": p.reset,
    address: p.address, signal: p.rssi == null ? undefined : `${p.rssi} dBm`, up: p.up && `${p.up} s`,
    waiting: board.waiting(), connections: i?.connections,
    "heap in use": i?.heap_used && `${(i.heap_used / 1024).toFixed(1)} KB`, LED: i?.led == null ? undefined : i.led ? "on" : "off",
  };
  const list = $("#facts");
  for (const [name, value] of Object.entries(told)) {
    if (value === undefined || value === null) continue;
    let item = list.querySelector(`[data-fact="${name}"]`);
    if (!item) {
      item = list.appendChild(document.createElement("div"));
      item.dataset.fact = name;
      item.innerHTML = "<dt></dt><dd></dd>";
      set(item.firstChild, name);
    }
    set(item.lastChild, String(value));
  }
}

function addLog(msg) {
  const level = msg.subject.split(".")[2];
  const line = json(msg) ?? { msg: decoder.decode(msg.data) };
  const item = document.createElement("li");
  item.dataset.level = level;
  const more = line.n ? ` (${line.n} more)` : "";
  item.textContent = `${msg.time.toLocaleTimeString()} ${level.padEnd(8)} ${line.msg}${more}`;
  const list = $("#logs");
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  list.append(item);
  while (list.children.length > LINES) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function takeConfig(entry) {
  const [, kind, ...rest] = entry.key.split(".");
  const field = rest.join(".");
  const row = open.config.get(field) ?? {};
  open.config.set(field, row);
  const text = entry.value.length ? decoder.decode(entry.value) : undefined;
  if (kind === "desired") row.wanted = text;
  else row.is = read(entry.value);
  const table = $("#config");
  let cells = table.querySelector(`[data-field="${CSS.escape(field)}"]`);
  if (!cells) {
    cells = table.appendChild(document.createElement("tr"));
    cells.dataset.field = field;
    cells.innerHTML = '<td></td><td class="wanted"></td><td class="is"></td><td class="error"></td>';
    set(cells.firstChild, field);
  }
  set(cells.querySelector(".wanted"), row.wanted ?? "");
  set(cells.querySelector(".is"), row.is ? JSON.stringify(row.is.value) : "");
  set(cells.querySelector(".error"), row.is?.error ?? "");
}

$("#close").addEventListener("click", hide);
$("#fields").append(...FIELDS.map((field) => new Option(field)));
$("#settings").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const kv = await new Kvm(nc).open("config");
  await kv.put(`${open.board.name}.desired.${form.get("field").trim()}`, form.get("value").trim());
});
$("#led").addEventListener("click", async () => {
  const begin = performance.now();
  let text;
  try {
    const answer = await nc.request(`devices.${open.board.name}.led`, "toggle", { timeout: 3000 });
    text = decoder.decode(answer.data);
  } catch {
    text = "no answer";
  }
  set($("#answer"), `${text} (${(performance.now() - begin).toFixed(0)} ms)`);
});

main();
