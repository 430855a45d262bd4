// In AssemblyScript.
import {
  Ability, Admit, Answer, BucketRule, Edit, Expires, Field, Lookup, Manifest, Moment, NetworkPrefix, Parameters, PopularPage, QueryRule,
  Request, RequestDecision, Response, ResponseDecision, Rewrite, Storing, WarmUrl, get, longestPrefix,
} from "./tero";

const UNTIL: u64 = 2_000_000_000;

export function configure(_settings: string): Manifest | null {
  const manifest = new Manifest();
  manifest.headers = ["x-a"];
  manifest.cookies = ["c"];
  manifest.responseHeaders = ["etag"];
  manifest.query = true;
  manifest.device = true;
  manifest.deviceSource = true;
  manifest.zone = "America/Argentina/Buenos_Aires";
  manifest.network = new NetworkPrefix(16, 40);
  manifest.country = true;
  manifest.region = true;
  const bucket = new BucketRule("e", 7);
  bucket.cookie = "v";
  manifest.bucket = bucket;
  manifest.route = true;
  manifest.tables = ["t"];
  manifest.variants = ["a"];
  const rule = new QueryRule(Parameters.Ignore, ["utm_*"]);
  rule.sort = true;
  manifest.queryRules = [rule];
  manifest.keyParts = ["k"];
  manifest.origins = ["o"];
  manifest.rateClasses = ["r"];
  manifest.requestEdits = ["x-q", "x-r"];
  manifest.responseEdits = ["x-s"];
  manifest.storedEdits = ["x-t"];
  manifest.abilities = Ability.Rewrite | Ability.Answer | Ability.LogTag | Ability.Admission | Ability.ErrorTtl | Ability.Expiry;
  manifest.pathPatterns = ["/all", "/answer", "/rule"];
  manifest.eachResponse = true;
  return manifest;
}

function text(value: string | null): string {
  return value !== null ? value : "-";
}

function number(value: i64): string {
  return value < 0 ? "-" : value.toString();
}

export function onRequest(request: Request, now: Moment): RequestDecision {
  const decision = new RequestDecision();
  if (request.path == "/answer") {
    const answer = new Answer(410).with("x-u", "1");
    answer.body = "hóla";
    decision.answer = answer;
    return decision;
  }
  if (request.path == "/rule") {
    decision.query = new QueryRule(Parameters.Only, ["a"]);
    return decision;
  }
  if (request.path != "/all") return decision;
  const client = request.client;
  const field = request.header("x-a");
  const row = longestPrefix("t", "/all/x");
  const holiday = now.holiday;
  const told: string[] = [
    request.method, request.scheme, request.host, request.path, text(request.query), field !== null ? (field.length + 1).toString() : "-",
    text(request.cookie("c")), (<i32>request.device).toString(), (<i32>request.deviceSource).toString(), text(client.network),
    text(client.country), text(client.region), number(client.bucket), text(request.route), text(get("t", "/all")),
    row !== null ? row.name : "-", (<i32>now.weekday).toString(), now.hour.toString() + ":" + now.minute.toString(),
    holiday !== null ? holiday.name.length.toString() : "-", now.nearbyHolidays.length > 0 ? "1" : "0",
  ];
  decision.lookup = Lookup.Cache;
  decision.variantName = "a";
  decision.queryPlace = 0;
  decision.keyParts = [new Field("k", number(client.bucket))];
  decision.rewrite = new Rewrite("/rewritten", "q=1");
  decision.origin = "o";
  decision.requestEdits = [new Edit("x-q", "1"), new Edit("x-r", null)];
  decision.responseEdits = [new Edit("x-s", "2")];
  decision.logTag = "tag";
  decision.rateClass = "r";
  return decision.because(told.join(" "));
}

export function onResponse(request: Request, response: Response, now: Moment): ResponseDecision {
  const told: string[] = [
    response.status.toString(), text(response.header("etag")), number(response.length), number(response.headerTtlSecs),
    number(response.headerBrowserTtlSecs), text(request.variantName), now.second.toString(),
  ];
  const decision = new ResponseDecision();
  if (response.status == 404) {
    decision.expires = Expires.StaleAt;
    decision.expiresUnixSecs = UNTIL;
    return decision.never().because(told.join(" "));
  }
  if (response.status != 200) return decision;
  decision.storing = Storing.Always;
  decision.admit = Admit.No;
  decision.ttlSecs = 1;
  decision.errorTtlSecs = 2;
  decision.browserTtlSecs = 3;
  decision.staleWhileRevalidateSecs = 4;
  decision.staleIfErrorSecs = 5;
  decision.expires = Expires.PurgeAt;
  decision.expiresUnixSecs = UNTIL;
  decision.edits = [new Edit("x-t", "3")];
  decision.tags = ["t1", "t2"];
  return decision.because(told.join(" "));
}

export function planWarm(plan: string, popular: PopularPage[], _now: Moment): WarmUrl[] {
  const first = popular[0];
  const url = "/" + plan + first.url + "/" + first.requests.toString() + "/" + text(first.variantName) + "/" + popular.length.toString();
  const page = new WarmUrl(url);
  page.variants = ["a", "mobile"];
  page.priority = 7;
  return [page];
}
