// The contract tero:policy@0.2.0 for policies in JavaScript and TypeScript.

/** The device class of the visitor, from client hints or else from the user agent. */
export type Device = "desktop" | "mobile" | "tablet" | "tv" | "bot" | "unknown";
/** How the device class was found. */
export type DeviceSource = "client-hints" | "user-agent" | "nothing";
export type Weekday = "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" | "sunday";

/** Minutes since local midnight, from 0 to 1440. */
export interface Opening {
  readonly fromMins: number;
  readonly untilMins: number;
}

/** A day of the policy's calendar. Without `open` it is closed. With `open` it is a half-day with these hours. */
export interface Holiday {
  readonly name: string;
  readonly open?: Opening;
}

/** A calendar entry of a day before or after today. */
export interface NearbyHoliday {
  readonly daysAhead: number;
  readonly holiday: Holiday;
}

/** The next change of the zone's offset from UTC. */
export interface OffsetChange {
  readonly unixSecs: number;
  readonly utcOffsetMins: number;
}

/**
 * The local time of the policy's zone. In `onRequest` it is cut to the minute, and without a zone in the manifest it is the Unix
 * epoch, so that decisions can be remembered.
 */
export interface Moment {
  readonly unixSecs: number;
  readonly year: number;
  /** 1 to 12 */
  readonly month: number;
  /** 1 to 31 */
  readonly day: number;
  readonly weekday: Weekday;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** Minutes since local midnight. */
  readonly mins: number;
  readonly utcOffsetMins: number;
  /** The next change of the offset, if there is one within 400 days. */
  readonly nextOffsetChange?: OffsetChange;
  /** The entry of today in the policy's calendar. */
  readonly holiday?: Holiday;
  /** The entries from yesterday (-1) to 31 days ahead, without today's, by date. */
  readonly nearbyHolidays: readonly NearbyHoliday[];
}

/** The client, as far as the manifest names it. */
export interface Client {
  /** Its network as text, such as `203.0.113.0/24`. */
  readonly network?: string;
  /** Two capital letters (ISO 3166-1), if the operator has a source for it. */
  readonly country?: string;
  /** The part after the hyphen of its code in ISO 3166-2, such as `C` for `AR-C`. */
  readonly region?: string;
  /** From 0 to one less than the number of buckets. */
  readonly bucket?: number;
}

/** A request. Only the inputs that the manifest names are filled in, and always `method`, `scheme`, `host` and `path`. */
export interface Request {
  readonly method: string;
  readonly scheme: string;
  /** In lower case, without port. */
  readonly host: string;
  /** As it came, percent-encoded, without the query. */
  readonly path: string;
  /** Without the question mark. */
  readonly query?: string;
  /** Names and values, with names in lower case. A repeated field comes once per line. */
  readonly headers: readonly (readonly [string, string])[];
  readonly cookies: readonly (readonly [string, string])[];
  readonly device: Device;
  readonly deviceSource: DeviceSource;
  readonly client: Client;
  /** The name of the route that matched, if it has one. */
  readonly route?: string;
  /** In `onResponse`, the variant that the site's policies chose together. */
  readonly variantName?: string;
  /** The first line of a field. */
  header(name: string): string | undefined;
  /** The value of a cookie. */
  cookie(name: string): string | undefined;
}

export interface Response {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  /** From `Content-Length`, in bytes. */
  readonly length?: number;
  /** The freshness lifetime that the response's own fields give a shared cache. */
  readonly headerTtlSecs?: number;
  /** The freshness lifetime that the response's own fields give a browser. */
  readonly headerBrowserTtlSecs?: number;
  /** A hash of the key under which the response will be stored, to spread lifetimes. */
  readonly keyHash: bigint;
  /** The first line of a field. */
  header(name: string): string | undefined;
}

/** A page that visitors requested. The most requested page comes first. */
export interface PopularPage {
  readonly url: string;
  readonly requests: number;
  readonly variantName?: string;
}

/** How much of a client's address is told: bits of an IPv4 address (default 24) or of an IPv6 address (default 48). */
export interface NetworkPrefix {
  ipv4?: number;
  ipv6?: number;
}

/** How visitors are divided into buckets. A visitor stays in its bucket. */
export interface BucketRule {
  /** 1 to 64 bytes of visible ASCII. Different experiments divide visitors differently. */
  experiment: string;
  /** 2 to 10000. Each is a decision of its own. */
  buckets: number;
  /** A cookie of the application that stays with a visitor. */
  cookie?: string;
  /** The client's network, for visitors without the cookie. */
  network?: NetworkPrefix;
}

export type Hook = "on-request" | "on-response" | "plan-warm";
/** What else a policy may do. */
export type Ability = "rewrite" | "answer" | "log-tag" | "admission" | "error-ttl" | "expiry";

/** What decisions depend on, and what the policy may do. Whatever is left out is not told, or not allowed. */
export interface Manifest {
  /** Default: the functions that the policy exports. */
  hooks?: Hook[];
  /** Request fields that it reads; at most 32. */
  headers?: string[];
  /** Cookies that it reads; at most 32. A name may end in `*`. */
  cookies?: string[];
  /** Response fields that it reads; at most 32. */
  responseHeaders?: string[];
  query?: boolean;
  device?: boolean;
  deviceSource?: boolean;
  /** The IANA name of the zone whose local time decisions depend on. */
  zone?: string;
  network?: NetworkPrefix;
  country?: boolean;
  region?: boolean;
  bucket?: BucketRule;
  route?: boolean;
  /** Data tables; at most 16. */
  tables?: string[];
  /** Every variant that `onRequest` may choose; at most 32. */
  variants?: string[];
  /** Rules for the query that `onRequest` may choose by their places; at most 32. */
  queryRules?: QueryRule[];
  /** The names of parts of the key; at most 8. */
  keyParts?: string[];
  /** Origins that `onRequest` may choose; at most 32. */
  origins?: string[];
  /** Classes of rate limits that `onRequest` may choose; at most 32. */
  rateClasses?: string[];
  /** Fields that `onRequest` may change in the request to the origin; at most 32. */
  requestEdits?: string[];
  /** Fields that `onRequest` may change in every response to a client; at most 32. */
  responseEdits?: string[];
  /** Fields that `onResponse` may change in a response before it is stored; at most 32. */
  storedEdits?: string[];
  abilities?: Ability[];
  /**
   * The patterns by which decisions depend on the path; at most 256, and none if they do not depend on it. `*` is any text:
   * `/shops/*`, `*.css`. The edge then asks once for all pages that the same patterns match, so a decision must hold for each
   * of them. A response's `length` and `keyHash` are not told any more, unless `eachResponse` is true. Default: decisions
   * depend on the whole path.
   */
  pathPatterns?: string[];
  /** With `pathPatterns`, whether `onResponse` wants to be asked about each response. */
  eachResponse?: boolean;
}

/** Changes of fields, by name: the new value, or `null` to remove the field. */
export type Edits = Record<string, string | null>;

/** The query parameters that count: `only` these, or all but those of `ignore`. A name may end in `*`. */
export interface QueryRule {
  ignore?: string[];
  only?: string[];
  /** Whether the order of parameters is ignored. */
  sort?: boolean;
}

/** An answer of the policy's own. */
export interface Answer {
  /** 200 to 599, but not 204 to 206 or 304. */
  status: number;
  /** Its fields: for each a text, or a list of texts for several lines. */
  fields?: Record<string, string | string[]>;
  /** At most 64 KiB. */
  body?: string;
}

/** A decision about a request. A field that is left out is left to the site's next policy, and then to the engine. */
export interface RequestDecision {
  /** `pass`: the request is not looked up, and its response is not stored. */
  lookup?: "cache" | "pass";
  /** One of the manifest's. */
  variantName?: string;
  /** A rule, or the place of one in the manifest's `queryRules`, which costs less. */
  query?: QueryRule | number;
  /** Parts of the key by name; at most 128 bytes of printable ASCII each. */
  keyParts?: Record<string, string>;
  /** What the origin is asked for instead; it is part of the key. */
  rewrite?: { path?: string; query?: string };
  /** One of the manifest's; it is part of the key. */
  origin?: string;
  /** Changes of the request to the origin; they are part of the key. */
  requestEdits?: Edits;
  /** Changes of the response to this client, whether it was stored or not. */
  responseEdits?: Edits;
  /** The answer, without any origin or store. */
  answer?: Answer;
  /** A word for the access log: 1 to 64 bytes of visible ASCII. */
  logTag?: string;
  /** The class of its rate limit, one of the manifest's. */
  rateClass?: string;
  /** The reason, for people who read `Cache-Status`: at most 200 bytes of printable ASCII. */
  reason?: string;
}

/** A decision about a response. A field that is left out is left to the next policy, and then to the response's own fields. */
export interface ResponseDecision {
  /** Default: `by-headers`. `always` stores it even if the fields give no lifetime; safety rules still apply. */
  storing?: "by-headers" | "never" | "always";
  /** Whether it is worth a place in the store. */
  admit?: boolean;
  /** How long it is fresh at the edge: at most 31536000 (a year), as the other lifetimes. */
  ttlSecs?: number;
  /** The same for a response with a status of 400 or above. */
  errorTtlSecs?: number;
  /** How long a browser may keep it. */
  browserTtlSecs?: number;
  staleWhileRevalidateSecs?: number;
  staleIfErrorSecs?: number;
  /** When it ends at the latest, in seconds since the Unix epoch: it is purged then, or stale from then on. */
  expiry?: { purgeAt: number } | { staleAt: number };
  /** Changes of its fields before it is stored. */
  edits?: Edits;
  /** Surrogate keys: at most 64, of 1 to 128 bytes of visible ASCII each. */
  tags?: string[];
  reason?: string;
}

/** A page to fetch ahead of demand. */
export interface WarmUrl {
  /** The path with its query, on the plan's site. */
  url: string;
  /** Names of variants or device classes; if left out, those of the plan. */
  variants?: string[];
  /** 0 to 255; pages with a higher priority are fetched first. */
  priority?: number;
}

/** Reads the settings of the configuration. The operator reads a text that is thrown, and the configuration is refused. */
export type Configure = (settings: unknown) => Manifest;
export type OnRequest = (request: Request, now: Moment) => RequestDecision;
export type OnResponse = (request: Request, response: Response, now: Moment) => ResponseDecision;
export type PlanWarm = (plan: string, popular: readonly PopularPage[], now: Moment) => WarmUrl[];

/** Writes a line to the operator's log; cut at 1 KiB, and at 16 lines a call. */
export function log(message: string): void;

/** Data tables of the manifest. A table does not change during a call. */
export const tables: {
  /** The value of a key. */
  get(table: string, key: string): string | undefined;
  /**
   * The row with the longest key that `text` begins with. In a table of networks `text` is an address or a network, and the row is
   * that of the smallest network that contains it.
   */
  longestPrefix(table: string, text: string): { key: string; value: string } | undefined;
};

/** An answer that redirects. */
export function redirect(status: 301 | 302 | 303 | 307 | 308, location: string, fields?: Record<string, string>): Answer;
