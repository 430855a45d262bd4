// The contract tero:policy@0.2.0 for policies in AssemblyScript. It comes with `tero policy new`, and `tero policy build` writes
// it again. The policy is in `policy.ts`: functions `configure`, `onRequest`, `onResponse` and `planWarm`, of which only the first
// is required. Its hooks are the functions that it has.

// ── What a policy is told ──

export enum Device { Desktop, Mobile, Tablet, Tv, Bot, Unknown }
export enum DeviceSource { ClientHints, UserAgent, Nothing }
export enum Weekday { Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday }

/** Minutes since local midnight. */
export class Opening {
  fromMins: u16 = 0;
  untilMins: u16 = 0;
}

/** A day of the policy's calendar: closed, or open for the hours of a half-day. */
export class Holiday {
  name: string = "";
  open: Opening | null = null;
}

export class NearbyHoliday {
  daysAhead: i32 = 0;
  holiday: Holiday = new Holiday();
}

export class OffsetChange {
  unixSecs: u64 = 0;
  utcOffsetMins: i32 = 0;
}

/**
 * The local time of the policy's zone. In `onRequest` it is cut to the minute, and without a zone in the manifest it is the Unix
 * epoch.
 */
export class Moment {
  unixSecs: u64 = 0;
  year: i32 = 0;
  month: i32 = 0;
  day: i32 = 0;
  weekday: Weekday = Weekday.Monday;
  hour: i32 = 0;
  minute: i32 = 0;
  second: i32 = 0;
  utcOffsetMins: i32 = 0;
  nextOffsetChange: OffsetChange | null = null;
  holiday: Holiday | null = null;
  nearbyHolidays: NearbyHoliday[] = [];

  /** Minutes since local midnight. */
  get mins(): i32 {
    return this.hour * 60 + this.minute;
  }
}

export class Field {
  constructor(public name: string = "", public value: string = "") {}
}

/** The client, as far as the manifest names it. */
export class Client {
  network: string | null = null;
  country: string | null = null;
  region: string | null = null;
  /** -1 for none. */
  bucket: i32 = -1;
}

function find(fields: Field[], name: string): string | null {
  for (let i = 0; i < fields.length; i++) if (fields[i].name == name) return fields[i].value;
  return null;
}

/** The inputs that the manifest names, and always method, scheme, host and path. */
export class Request {
  method: string = "";
  scheme: string = "";
  host: string = "";
  path: string = "";
  query: string | null = null;
  headers: Field[] = [];
  cookies: Field[] = [];
  device: Device = Device.Unknown;
  deviceSource: DeviceSource = DeviceSource.Nothing;
  client: Client = new Client();
  route: string | null = null;
  /** In `onResponse`, the variant that the site's policies chose together. */
  variantName: string | null = null;

  /** The first line of a field, by its name in lower case. */
  header(name: string): string | null {
    return find(this.headers, name);
  }

  cookie(name: string): string | null {
    return find(this.cookies, name);
  }
}

export class Response {
  status: i32 = 0;
  headers: Field[] = [];
  /** -1 for none, and so the next two. */
  length: i64 = -1;
  headerTtlSecs: i64 = -1;
  headerBrowserTtlSecs: i64 = -1;
  keyHash: u64 = 0;

  /** The first line of a field, by its name in lower case. */
  header(name: string): string | null {
    return find(this.headers, name);
  }
}

export class PopularPage {
  url: string = "";
  requests: u64 = 0;
  variantName: string | null = null;
}

// ── What a policy answers ──

/** How many bits of a client's address are told. */
export class NetworkPrefix {
  constructor(public ipv4: u8 = 24, public ipv6: u8 = 48) {}
}

export class BucketRule {
  cookie: string | null = null;
  network: NetworkPrefix = new NetworkPrefix();
  constructor(public experiment: string, public buckets: u16) {}
}

/** What else a policy may do; joined with `|`. */
export enum Ability { Rewrite = 1, Answer = 2, LogTag = 4, Admission = 8, ErrorTtl = 16, Expiry = 32 }

/** What decisions depend on, and what the policy may do. */
export class Manifest {
  headers: string[] = [];
  cookies: string[] = [];
  responseHeaders: string[] = [];
  query: bool = false;
  device: bool = false;
  deviceSource: bool = false;
  zone: string | null = null;
  network: NetworkPrefix | null = null;
  country: bool = false;
  region: bool = false;
  bucket: BucketRule | null = null;
  route: bool = false;
  tables: string[] = [];
  variants: string[] = [];
  /** Rules that `onRequest` may choose by their places. */
  queryRules: QueryRule[] = [];
  keyParts: string[] = [];
  origins: string[] = [];
  rateClasses: string[] = [];
  requestEdits: string[] = [];
  responseEdits: string[] = [];
  storedEdits: string[] = [];
  abilities: i32 = 0;
  /**
   * The patterns by which decisions depend on the path, such as `/shops/*`; null if they depend on all of it. The edge asks once for
   * all pages that the same patterns match, so a decision must hold for each of them.
   */
  pathPatterns: string[] | null = null;
  /** With `pathPatterns`, whether `onResponse` depends on a response's length and key hash too. */
  eachResponse: bool = false;
}

export enum Lookup { Open = -1, Cache, Pass }
export enum Parameters { All, Ignore, Only }

export class QueryRule {
  sort: bool = false;
  constructor(public parameters: Parameters = Parameters.All, public names: string[] = []) {}
}

export class Rewrite {
  constructor(public path: string | null = null, public query: string | null = null) {}
}

/** Sets a field, or removes it if the value is null. */
export class Edit {
  constructor(public name: string = "", public value: string | null = null) {}
}

export class Answer {
  fields: Field[] = [];
  body: string = "";
  constructor(public status: u16) {}

  /** Adds a field. */
  with(name: string, value: string): Answer {
    this.fields.push(new Field(name, value));
    return this;
  }
}

export function redirect(status: u16, location: string): Answer {
  return new Answer(status).with("location", location);
}

/** A decision about a request. What is left out is left to the next policy, and then to the engine. */
export class RequestDecision {
  lookup: Lookup = Lookup.Open;
  variantName: string | null = null;
  query: QueryRule | null = null;
  /** The rule at this place in the manifest, in place of `query`; it costs less. -1 for none. */
  queryPlace: i32 = -1;
  keyParts: Field[] = [];
  rewrite: Rewrite | null = null;
  origin: string | null = null;
  requestEdits: Edit[] = [];
  responseEdits: Edit[] = [];
  answer: Answer | null = null;
  logTag: string | null = null;
  rateClass: string | null = null;
  reason: string | null = null;

  pass(): RequestDecision {
    this.lookup = Lookup.Pass;
    return this;
  }

  variant(name: string): RequestDecision {
    this.variantName = name;
    return this;
  }

  because(reason: string): RequestDecision {
    this.reason = reason;
    return this;
  }
}

export enum Storing { ByHeaders, Never, Always }
export enum Admit { Open = -1, No, Yes }
export enum Expires { Never = -1, PurgeAt, StaleAt }

/** A decision about a response. What is left out is left to the next policy, and then to the response's own fields. */
export class ResponseDecision {
  storing: Storing = Storing.ByHeaders;
  admit: Admit = Admit.Open;
  /** -1 for none, and so the other lifetimes. */
  ttlSecs: i64 = -1;
  errorTtlSecs: i64 = -1;
  browserTtlSecs: i64 = -1;
  staleWhileRevalidateSecs: i64 = -1;
  staleIfErrorSecs: i64 = -1;
  expires: Expires = Expires.Never;
  /** The instant of `expires`. */
  expiresUnixSecs: u64 = 0;
  edits: Edit[] = [];
  tags: string[] = [];
  reason: string | null = null;

  never(): ResponseDecision {
    this.storing = Storing.Never;
    return this;
  }

  /** Stores the response, fresh for this time. */
  cacheFor(secs: i64): ResponseDecision {
    this.storing = Storing.Always;
    this.ttlSecs = secs;
    return this;
  }

  because(reason: string): ResponseDecision {
    this.reason = reason;
    return this;
  }
}

export class WarmUrl {
  variants: string[] = [];
  priority: u8 = 0;
  constructor(public url: string) {}
}

// ── Settings ──

/** The settings, a table of texts, numbers and booleans. Lists and tables in it are not read. */
export class Settings {
  private values: Map<string, string> = new Map();
  /** What is wrong with the text; empty if nothing is. */
  error: string = "";
  private at: i32 = 0;

  constructor(private json: string) {
    this.read();
  }

  private read(): void {
    if (!this.takes(0x7b)) {
      this.error = "the settings are a table";
      return;
    }
    if (this.takes(0x7d)) return;
    do {
      const key = this.value(true);
      if (this.error.length || !this.takes(0x3a)) {
        this.error = "the settings are not JSON";
        return;
      }
      this.values.set(key, this.value(false));
      if (this.error.length) return;
    } while (this.takes(0x2c));
    if (!this.takes(0x7d)) this.error = "the settings are not JSON";
  }

  /** A value, or an empty text. */
  text(key: string): string {
    return this.values.has(key) ? this.values.get(key) : "";
  }

  /** The first key that is not one of these, or an empty text. */
  unknown(known: string[]): string {
    const keys = this.values.keys();
    for (let i = 0; i < keys.length; i++) if (!known.includes(keys[i])) return keys[i];
    return "";
  }

  private takes(code: i32): bool {
    while (this.at < this.json.length && this.json.charCodeAt(this.at) <= 0x20) this.at++;
    if (this.at >= this.json.length || this.json.charCodeAt(this.at) != code) return false;
    this.at++;
    return true;
  }

  private value(isKey: bool): string {
    if (!this.takes(0x22)) {
      const start = this.at;
      while (this.at < this.json.length && !",}]{[ \n".includes(this.json.charAt(this.at))) this.at++;
      if (isKey || start == this.at) this.error = "the settings are a table of texts, numbers and booleans";
      return this.json.slice(start, this.at);
    }
    let out = "";
    while (this.at < this.json.length) {
      const code = this.json.charCodeAt(this.at++);
      if (code == 0x22) return out;
      if (code != 0x5c) {
        out += String.fromCharCode(code);
        continue;
      }
      const escape = this.json.charAt(this.at++);
      if (escape == "n") out += "\n";
      else if (escape == "t") out += "\t";
      else if (escape == "r") out += "\r";
      else if (escape == "b") out += "\b";
      else if (escape == "f") out += "\f";
      else if (escape == "u") {
        out += String.fromCharCode(<i32>Number.parseInt(this.json.slice(this.at, this.at + 4), 16));
        this.at += 4;
      } else out += escape;
    }
    this.error = "the settings are not JSON";
    return out;
  }
}

let refusal: string = "";

/** Refuses the settings with a message that the operator reads. */
export function refuse(message: string): Manifest | null {
  refusal = message;
  return null;
}

// ── The log and the tables ──

// @ts-ignore: decorator
@external("$root", "log")
declare function hostLog(text: usize, length: usize): void;
// @ts-ignore: decorator
@external("tero:policy/tables@0.2.0", "get")
declare function hostGet(table: usize, tableLength: usize, key: usize, keyLength: usize, result: usize): void;
// @ts-ignore: decorator
@external("tero:policy/tables@0.2.0", "longest-prefix")
declare function hostLongestPrefix(table: usize, tableLength: usize, text: usize, textLength: usize, result: usize): void;

/** Writes a line to the operator's log. */
export function log(message: string): void {
  const text = String.UTF8.encode(message);
  hostLog(changetype<usize>(text), text.byteLength);
}

/** The value of a key in a data table of the manifest. */
export function get(table: string, key: string): string | null {
  const name = String.UTF8.encode(table);
  const wanted = String.UTF8.encode(key);
  const result = allocate(12);
  hostGet(changetype<usize>(name), name.byteLength, changetype<usize>(wanted), wanted.byteLength, result);
  return load<u8>(result) ? textAt(result + 4) : null;
}

/**
 * The row with the longest key that `text` begins with, as a field; in a table of networks, the smallest network that contains
 * it.
 */
export function longestPrefix(table: string, text: string): Field | null {
  const name = String.UTF8.encode(table);
  const wanted = String.UTF8.encode(text);
  const result = allocate(20);
  hostLongestPrefix(changetype<usize>(name), name.byteLength, changetype<usize>(wanted), wanted.byteLength, result);
  return load<u8>(result) ? new Field(textAt(result + 4), textAt(result + 12)) : null;
}

/** Logs what was thrown, since a trap alone does not name its cause. */
export function abort(message: string | null, file: string | null, line: u32, _column: u32): void {
  log((message ? message : "abort") + (file ? ", at " + file + ":" + line.toString() : ""));
  unreachable();
}

// ── The canonical ABI ──

let kept: usize[] = [];
let texts: usize = 0;

export function allocate(length: usize): usize {
  const place = heap.alloc(max(length, 1));
  kept.push(place);
  return place;
}

export function reallocate(old: usize, oldLength: usize, length: usize): usize {
  const place = allocate(length);
  if (oldLength) memory.copy(place, old, min(oldLength, length));
  return place;
}

/** Frees what a call has used. */
export function letGo(): void {
  for (let i = 0; i < kept.length; i++) heap.free(kept[i]);
  kept = [];
}

export function textAt(place: usize): string {
  return String.UTF8.decodeUnsafe(load<u32>(place), load<u32>(place, 4));
}

/** Reads a record, field by field. */
export class Reader {
  constructor(private at: usize) {}

  align(to: usize): void {
    this.at = (this.at + to - 1) & ~(to - 1);
  }

  next<T>(): T {
    this.align(sizeof<T>());
    const value = load<T>(this.at);
    this.at += sizeof<T>();
    return value;
  }

  /** The mark of an option whose value is aligned so. The value follows, whether there is one or not. */
  option(to: usize): bool {
    this.align(to);
    const some = load<u8>(this.at) != 0;
    this.at += to;
    return some;
  }

  span(): string {
    const start = this.next<u32>();
    return String.UTF8.decodeUnsafe(texts + start, this.next<u32>());
  }

  optionalSpan(): string | null {
    if (this.option(4)) return this.span();
    this.at += 8;
    return null;
  }

  optional<T>(): i64 {
    const some = this.option(sizeof<T>());
    const value = this.next<T>();
    return some ? <i64>value : -1;
  }

  /** Begins a question: its texts come first. */
  question(): void {
    texts = this.next<u32>();
    this.next<u32>();
  }

  fields(): Field[] {
    const reader = new Reader(this.next<u32>());
    const count = this.next<u32>();
    const fields = new Array<Field>();
    for (let i: u32 = 0; i < count; i++) {
      const name = reader.span();
      fields.push(new Field(name, reader.span()));
    }
    return fields;
  }

  request(): Request {
    const request = new Request();
    request.method = this.span();
    request.scheme = this.span();
    request.host = this.span();
    request.path = this.span();
    request.query = this.optionalSpan();
    request.headers = this.fields();
    request.cookies = this.fields();
    request.device = this.next<u8>();
    request.deviceSource = this.next<u8>();
    this.align(4);
    request.client.network = this.optionalSpan();
    request.client.country = this.optionalSpan();
    request.client.region = this.optionalSpan();
    request.client.bucket = <i32>this.optional<u16>();
    this.align(4);
    request.route = this.optionalSpan();
    request.variantName = this.optionalSpan();
    return request;
  }

  response(): Response {
    this.align(8);
    const response = new Response();
    response.status = this.next<u16>();
    response.headers = this.fields();
    response.length = this.optional<u64>();
    response.headerTtlSecs = this.optional<u32>();
    response.headerBrowserTtlSecs = this.optional<u32>();
    response.keyHash = this.next<u64>();
    return response;
  }

  private holiday(): Holiday {
    const holiday = new Holiday();
    holiday.name = this.span();
    const open = new Opening();
    const some = this.option(2);
    open.fromMins = this.next<u16>();
    open.untilMins = this.next<u16>();
    if (some) holiday.open = open;
    this.align(4);
    return holiday;
  }

  moment(): Moment {
    this.align(8);
    const now = new Moment();
    now.unixSecs = this.next<u64>();
    now.year = this.next<u16>();
    now.month = this.next<u8>();
    now.day = this.next<u8>();
    now.weekday = this.next<u8>();
    now.hour = this.next<u8>();
    now.minute = this.next<u8>();
    now.second = this.next<u8>();
    now.utcOffsetMins = this.next<i16>();
    const changes = this.option(8);
    const change = new OffsetChange();
    change.unixSecs = this.next<u64>();
    change.utcOffsetMins = this.next<i16>();
    if (changes) now.nextOffsetChange = change;
    this.align(8);
    if (this.option(4)) {
      now.holiday = this.holiday();
    } else {
      this.at += 16;
    }
    const reader = new Reader(this.next<u32>());
    const count = this.next<u32>();
    for (let i: u32 = 0; i < count; i++) {
      const near = new NearbyHoliday();
      near.daysAhead = reader.next<i8>();
      reader.align(4);
      near.holiday = reader.holiday();
      now.nearbyHolidays.push(near);
    }
    this.align(8);
    return now;
  }

  popular(): PopularPage[] {
    const reader = new Reader(this.next<u32>());
    const count = this.next<u32>();
    const pages = new Array<PopularPage>();
    for (let i: u32 = 0; i < count; i++) {
      const page = new PopularPage();
      page.url = reader.span();
      page.requests = reader.next<u64>();
      page.variantName = reader.optionalSpan();
      reader.align(8);
      pages.push(page);
    }
    return pages;
  }
}

/** Writes a record into memory that lasts until the call has ended. */
export class Writer {
  readonly start: usize;
  private at: usize;

  constructor(size: usize) {
    this.start = allocate(size);
    this.at = this.start;
    memory.fill(this.start, 0, size);
  }

  align(to: usize): void {
    this.at = (this.at + to - 1) & ~(to - 1);
  }

  next<T>(value: T): void {
    this.align(sizeof<T>());
    store<T>(this.at, value);
    this.at += sizeof<T>();
  }

  option(some: bool, to: usize): void {
    this.align(to);
    store<u8>(this.at, some);
    this.at += to;
  }

  text(text: string): void {
    const length = String.UTF8.byteLength(text);
    const place = allocate(length);
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, place);
    this.next<u32>(<u32>place);
    this.next<u32>(length);
  }

  optionalText(text: string | null): void {
    this.option(text !== null, 4);
    if (text !== null) this.text(text);
    else this.at += 8;
  }

  optional<T>(value: i64): void {
    this.option(value >= 0, sizeof<T>());
    this.next<T>(<T>value);
  }

  private list(items: Writer, count: i32): void {
    this.next<u32>(<u32>items.start);
    this.next<u32>(count);
  }

  texts(texts: string[]): void {
    const items = new Writer(8 * texts.length);
    for (let i = 0; i < texts.length; i++) items.text(texts[i]);
    this.list(items, texts.length);
  }

  pairs(pairs: Field[]): void {
    const items = new Writer(16 * pairs.length);
    for (let i = 0; i < pairs.length; i++) {
      items.text(pairs[i].name);
      items.text(pairs[i].value);
    }
    this.list(items, pairs.length);
  }

  edits(edits: Edit[]): void {
    const items = new Writer(20 * edits.length);
    for (let i = 0; i < edits.length; i++) {
      items.text(edits[i].name);
      items.optionalText(edits[i].value);
    }
    this.list(items, edits.length);
  }

  private network(network: NetworkPrefix): void {
    this.next<u8>(network.ipv4);
    this.next<u8>(network.ipv6);
  }

  manifest(manifest: Manifest, hooks: u8[]): void {
    const items = new Writer(3);
    for (let i = 0; i < hooks.length; i++) items.next<u8>(hooks[i]);
    this.align(4);
    this.list(items, hooks.length);
    this.texts(manifest.headers);
    this.texts(manifest.cookies);
    this.texts(manifest.responseHeaders);
    this.next<bool>(manifest.query);
    this.next<bool>(manifest.device);
    this.next<bool>(manifest.deviceSource);
    this.optionalText(manifest.zone);
    const network = manifest.network;
    this.option(network !== null, 1);
    if (network !== null) this.network(network);
    else this.at += 2;
    this.next<bool>(manifest.country);
    this.next<bool>(manifest.region);
    const bucket = manifest.bucket;
    this.option(bucket !== null, 4);
    if (bucket !== null) {
      this.text(bucket.experiment);
      this.next<u16>(bucket.buckets);
      this.optionalText(bucket.cookie);
      this.network(bucket.network);
      this.align(4);
    } else this.at += 28;
    this.next<bool>(manifest.route);
    this.align(4);
    this.texts(manifest.tables);
    this.texts(manifest.variants);
    const rules = new Writer(16 * manifest.queryRules.length);
    for (let i = 0; i < manifest.queryRules.length; i++) rules.queryRule(manifest.queryRules[i]);
    this.list(rules, manifest.queryRules.length);
    this.texts(manifest.keyParts);
    this.texts(manifest.origins);
    this.texts(manifest.rateClasses);
    this.texts(manifest.requestEdits);
    this.texts(manifest.responseEdits);
    this.texts(manifest.storedEdits);
    this.next<u8>(<u8>manifest.abilities);
    const patterns = manifest.pathPatterns;
    this.option(patterns !== null, 4);
    if (patterns !== null) {
      this.texts(patterns);
      this.next<bool>(manifest.eachResponse);
    }
  }

  queryRule(rule: QueryRule): void {
    this.next<u8>(<u8>rule.parameters);
    this.align(4);
    this.texts(rule.names);
    this.next<bool>(rule.sort);
    this.align(4);
  }

  requestDecision(decision: RequestDecision): void {
    this.option(decision.lookup != Lookup.Open, 1);
    this.next<u8>(<u8>decision.lookup);
    this.optionalText(decision.variantName);
    const query = decision.query;
    const place = decision.queryPlace;
    this.option(query !== null || place >= 0, 4);
    this.next<u8>(<u8>(place < 0));
    this.align(4);
    if (query !== null && place < 0) {
      this.queryRule(query);
    } else {
      store<u8>(this.at, <u8>place);
      this.at += 16;
    }
    this.pairs(decision.keyParts);
    const rewrite = decision.rewrite;
    this.option(rewrite !== null, 4);
    if (rewrite !== null) {
      this.optionalText(rewrite.path);
      this.optionalText(rewrite.query);
    } else this.at += 24;
    this.optionalText(decision.origin);
    this.edits(decision.requestEdits);
    this.edits(decision.responseEdits);
    const answer = decision.answer;
    this.option(answer !== null, 4);
    if (answer !== null) {
      this.next<u16>(answer.status);
      this.align(4);
      this.pairs(answer.fields);
      this.text(answer.body);
    } else this.at += 20;
    this.optionalText(decision.logTag);
    this.optionalText(decision.rateClass);
    this.optionalText(decision.reason);
  }

  responseDecision(decision: ResponseDecision): void {
    this.next<u8>(<u8>decision.storing);
    this.option(decision.admit != Admit.Open, 1);
    this.next<u8>(<u8>(decision.admit == Admit.Yes));
    this.optional<u32>(decision.ttlSecs);
    this.optional<u32>(decision.errorTtlSecs);
    this.optional<u32>(decision.browserTtlSecs);
    this.optional<u32>(decision.staleWhileRevalidateSecs);
    this.optional<u32>(decision.staleIfErrorSecs);
    this.option(decision.expires != Expires.Never, 8);
    this.next<u8>(<u8>(decision.expires == Expires.StaleAt));
    this.next<u64>(decision.expiresUnixSecs);
    this.edits(decision.edits);
    this.texts(decision.tags);
    this.optionalText(decision.reason);
  }

  warmUrls(pages: WarmUrl[]): void {
    const items = new Writer(20 * pages.length);
    for (let i = 0; i < pages.length; i++) {
      items.text(pages[i].url);
      items.texts(pages[i].variants);
      items.next<u8>(pages[i].priority);
      items.align(4);
    }
    this.list(items, pages.length);
  }

  /** The answer of `configure`: a manifest, or the refusal if there is none. */
  configured(manifest: Manifest | null, hooks: u8[]): void {
    this.option(manifest === null, 4);
    if (manifest !== null) this.manifest(manifest, hooks);
    else this.text(refusal);
  }
}
