// What is known of the boards, from what the server says.

const KEEP_MS = 10 * 60 * 1000;
const HEARD_MS = 60 * 1000; // that a board without presence counts as there
const MOST = 3000; // points of a chart

/** What JSON says, or undefined if it is none. */
export function read(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

class Board {
  constructor(name) {
    this.name = name;
    this.presence = undefined; // what it told, and when that was
    this.toldAt = undefined;
    this.last = new Map(); // kind: { value, at }
    this.series = new Map(); // kind: Map(time taken: value)
    this.starts = new Map(); // boot: when its `up` was 0, as the promptest reading has it
    this.gaps = []; // [from, to]: nothing came
    this.heardAt = undefined;
    this.info = undefined;
    this.reported = undefined;
  }

  state() {
    const told = this.presence;
    if (!told) return !this.toldAt && Date.now() - this.heardAt < HEARD_MS ? "heard" : "away";
    const age = (Date.now() - this.toldAt) / 1000;
    if (told.state === "up" && told.ttl_s == null && age > 1.5 * told.every_s) return "away";
    return told.state;
  }

  age() {
    if (!this.heardAt) return "";
    const seconds = Math.max(0, Math.round((Date.now() - this.heardAt) / 1000));
    return seconds < 2 ? "now" : `${seconds} s ago`;
  }

  waiting() {
    return this.info?.outbox?.waiting;
  }

  /** When a reading was taken, in ms: `up` is in whole seconds since the start of that boot. */
  taken(reading, heardAt) {
    const start = heardAt - reading.up * 1000;
    const known = this.starts.get(reading.boot) ?? Infinity;
    if (start < known) this.starts.set(reading.boot, start);
    return Math.min(start, known) + reading.up * 1000;
  }

  add(kind, reading, heardAt) {
    if (typeof reading?.v !== "number") return;
    const points = this.series.get(kind) ?? new Map();
    this.series.set(kind, points);
    const at = this.taken(reading, heardAt);
    points.set(`${reading.boot}.${reading.seq}`, [at / 1000, reading.v]);
    while (points.size > MOST) points.delete(points.keys().next().value);
    const last = this.last.get(kind);
    if (!last || at >= last.at) this.last.set(kind, { value: reading.v, at });
  }
}

export class Fleet {
  constructor() {
    this.boards = new Map();
    this.outages = []; // [from, to] in seconds; to is undefined while it lasts
  }

  of(name) {
    if (!this.boards.has(name)) this.boards.set(name, new Board(name));
    return this.boards.get(name);
  }

  there() {
    return [...this.boards.values()].filter((board) => board.state() === "up");
  }

  /** A reading that has come now. */
  reading([, name, kind], reading) {
    const board = this.of(name);
    board.heardAt = Date.now();
    board.add(kind, reading, board.heardAt);
  }

  /** One that the stream has kept. */
  past([, name, kind], reading, at) {
    this.of(name).add(kind, reading, at);
  }

  presence(entry) {
    const board = this.of(entry.key);
    const presence = read(entry.value);
    if (typeof presence?.state === "string") {
      board.presence = presence;
      board.toldAt = entry.created.getTime();
      const gap = board.gaps.at(-1);
      if (gap && gap[1] === undefined) gap[1] = board.toldAt / 1000;
    } else if (board.presence) {
      board.presence = undefined;
      board.gaps.push([(board.heardAt ?? Date.now()) / 1000, undefined]);
    }
  }

  version(entry) {
    const reported = read(entry.value);
    if (reported) this.of(entry.key.split(".")[0]).reported = reported;
  }

  outageBegins() {
    if (this.outages.at(-1)?.[1] !== undefined || !this.outages.length) {
      this.outages.push([Date.now() / 1000, undefined]);
    }
  }

  outageEnds() {
    const outage = this.outages.at(-1);
    if (outage && outage[1] === undefined) outage[1] = Date.now() / 1000;
    this.outages = this.outages.filter(([, to]) => to === undefined || to * 1000 > Date.now() - KEEP_MS);
  }
}
