// What policies answer: the shapes with their bounds, and how they cross to the engine. It knows nothing of a host.

const YEAR_SECS = 31_536_000;

/** An answer of another shape than the contract's. */
export class AnswerError extends TypeError {}

/** An answer that redirects. */
export function redirect(status, location, fields = {}) {
  return { status, fields: { location, ...fields } };
}

function shown(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64));
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}

// A kind of value: what it wants in words, and how it is checked and lowered. `at` is its path; `refuse` throws.
const kind = (words, lower) => ({ words, lower });

const text = (most, words = 'a text') =>
  kind(`${words} of at most ${most} bytes`, (value, at, refuse) => {
    // A character has at most three bytes of UTF-8 for each unit of UTF-16.
    if (typeof value !== 'string' || value.length > most || (value.length * 3 > most && utf8Length(value) > most)) refuse(at, value);
    return value;
  });
const flag = kind('true or false', (value, at, refuse) => (typeof value === 'boolean' ? value : refuse(at, value)));
const whole = (least, most) =>
  kind(`a whole number from ${least} to ${most}`, (value, at, refuse) =>
    Number.isInteger(value) && least <= value && value <= most ? value : refuse(at, value),
  );
const seconds = whole(0, YEAR_SECS);
const oneOf = (...names) =>
  kind(`one of ${names.map((name) => `"${name}"`).join(', ')}`, (value, at, refuse) => (names.includes(value) ? value : refuse(at, value)));
const list = (item, most) =>
  kind(`a list of at most ${most}`, (value, at, refuse) => {
    if (!Array.isArray(value) || value.length > most) refuse(at, value);
    return value.map((each, index) => item.lower(each, `${at}[${index}]`, refuserFor(item, refuse)));
  });
/** An object from names to values: key parts, changes of fields, fields. */
const entries = (words, item, most, pair) =>
  kind(words, (value, at, refuse) => {
    if (!isObject(value) || Object.keys(value).length > most) refuse(at, value);
    return Object.entries(value).flatMap(([name, each]) =>
      pair(name, item.lower(each, at ? `${at}.${name}` : name, refuserFor(item, refuse))),
    );
  });
const required = (type) => ({ ...type, required: true });
/** An object with these fields; those that are not required may be left out. `make` lowers it. */
const object = (fields, make = (value) => value) =>
  kind(`an object with ${Object.keys(fields).join(', ')}`, (value, at, refuse) => {
    if (!isObject(value)) refuse(at, value);
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name)) refuse(at, value, `has the field \`${name}\`, which is not one of ${Object.keys(fields).join(', ')}`);
    }
    const lowered = {};
    for (const [name, type] of Object.entries(fields)) {
      if (value[name] === undefined && !type.required) continue;
      const wanted = type.required ? type.words : `${type.words}, or to be left out`;
      lowered[name] = type.lower(value[name], at ? `${at}.${name}` : name, refuserFor({ words: wanted }, refuse));
    }
    return make(lowered);
  });

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Refuses a value of this kind with the hook of the outer one. */
function refuserFor({ words }, outer) {
  const refuse = (at, value, complaint = `is ${shown(value)}: it wants ${words}`) => outer.throw(at, complaint);
  refuse.throw = outer.throw;
  return refuse;
}

function utf8Length(value) {
  let length = 0;
  for (const char of value) {
    const code = char.codePointAt(0);
    length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return length;
}

const name = text(256);
const names = (most) => list(name, most);
const network = object({ ipv4: whole(0, 32), ipv6: whole(0, 128) }, ({ ipv4 = 24, ipv6 = 48 }) => ({ ipv4, ipv6 }));
const HOOKS = ['on-request', 'on-response', 'plan-warm'];
const ABILITIES = { rewrite: 'rewrite', answer: 'answer', 'log-tag': 'logTag', admission: 'admission', 'error-ttl': 'errorTtl', expiry: 'expiry' };

const queryRule = object({ ignore: names(128), only: names(128), sort: flag }, ({ ignore, only, sort = false }) => ({
  parameters: only ? { tag: 'only', val: only } : ignore ? { tag: 'ignore', val: ignore } : { tag: 'all' },
  sort,
}));

const manifest = (hooks) =>
  object(
    {
      hooks: list(oneOf(...HOOKS), 3),
      headers: names(32),
      cookies: names(32),
      responseHeaders: names(32),
      query: flag,
      device: flag,
      deviceSource: flag,
      zone: name,
      network,
      country: flag,
      region: flag,
      bucket: object(
        { experiment: required(text(64)), buckets: required(whole(2, 10_000)), cookie: name, network },
        ({ network = { ipv4: 24, ipv6: 48 }, ...rule }) => ({ ...rule, network }),
      ),
      route: flag,
      tables: names(16),
      variants: list(text(32), 32),
      queryRules: list(queryRule, 32),
      keyParts: list(text(32), 8),
      origins: names(32),
      rateClasses: names(32),
      requestEdits: names(32),
      responseEdits: names(32),
      storedEdits: names(32),
      abilities: list(oneOf(...Object.keys(ABILITIES)), 6),
      pathPatterns: list(text(1024), 256),
      eachResponse: flag,
    },
    ({ pathPatterns: patterns, eachResponse = false, ...given }) => ({
      hooks,
      ...Object.fromEntries(
        ['headers', 'cookies', 'responseHeaders', 'tables', 'variants', 'queryRules', 'keyParts', 'origins', 'rateClasses', 'requestEdits', 'responseEdits', 'storedEdits'].map((list) => [list, []]),
      ),
      ...Object.fromEntries(['query', 'device', 'deviceSource', 'country', 'region', 'route'].map((flag) => [flag, false])),
      ...given,
      ...(patterns && { pathPatterns: { patterns, eachResponse } }),
      abilities: Object.fromEntries(Object.entries(ABILITIES).map(([name, lowered]) => [lowered, (given.abilities ?? []).includes(name)])),
    }),
  );

const value = text(4096);
const removable = kind('a text of at most 4096 bytes, or null to remove the field', (given, at, refuse) =>
  given === null ? undefined : value.lower(given, at, refuse),
);
const edits = entries('an object from names of fields to values', removable, 32, (name, value) => [{ name, value }]);
const keyParts = entries('an object from names of key parts to values', text(128), 8, (name, value) => [{ name, value }]);
const lines = kind('a text, or a list of texts', (given, at, refuse) =>
  Array.isArray(given) ? list(value, 32).lower(given, at, refuse) : [value.lower(given, at, refuse)],
);
const fields = entries('an object from names of fields to values', lines, 32, (name, values) => values.map((value) => [name, value]));

const place = whole(0, 31);
const queryChoice = kind(`${queryRule.words}, or a place in the manifest's queryRules`, (given, at, refuse) =>
  typeof given === 'number'
    ? { tag: 'declared', val: place.lower(given, at, refuse) }
    : { tag: 'rule', val: queryRule.lower(given, at, refuse) },
);

const reason = text(200);
const requestDecision = object(
  {
    lookup: oneOf('cache', 'pass'),
    variantName: text(32),
    query: queryChoice,
    keyParts,
    rewrite: object({ path: text(8192), query: text(8192) }),
    origin: name,
    requestEdits: edits,
    responseEdits: edits,
    answer: object({ status: required(whole(200, 599)), fields, body: text(65_536) }, ({ status, fields = [], body = '' }) => ({ status, fields, body })),
    logTag: text(64),
    rateClass: name,
    reason,
  },
  (given) => ({ keyParts: [], requestEdits: [], responseEdits: [], ...given }),
);

const instant = whole(0, Number.MAX_SAFE_INTEGER);
const expiry = object({ purgeAt: instant, staleAt: instant }, ({ purgeAt, staleAt }) =>
  purgeAt === undefined ? { tag: 'stale-at', val: BigInt(staleAt ?? 0) } : { tag: 'purge-at', val: BigInt(purgeAt) },
);
const responseDecision = object(
  {
    storing: oneOf('by-headers', 'never', 'always'),
    admit: flag,
    ttlSecs: seconds,
    errorTtlSecs: seconds,
    browserTtlSecs: seconds,
    staleWhileRevalidateSecs: seconds,
    staleIfErrorSecs: seconds,
    expiry,
    edits,
    tags: list(text(128), 64),
    reason,
  },
  (given) => ({ storing: 'by-headers', edits: [], tags: [], ...given }),
);

const warmUrl = object({ url: required(text(8192)), variants: names(64), priority: whole(0, 255) }, ({ url, variants = [], priority = 0 }) => ({
  url,
  variants,
  priority,
}));

/** The answer of a hook as the engine wants it. Throws an {@link AnswerError} that names the field and what it wants. */
function lowered(type, hook, answer) {
  const refuse = refuserFor(type, {
    throw(at, complaint) {
      throw new AnswerError(`${at ? `\`${at}\` in the answer` : 'the answer'} of ${hook} ${complaint}`);
    },
  });
  return type.lower(answer, '', refuse);
}

export const lower = {
  configure: (answer, hooks) => lowered(manifest(hooks), 'configure', answer),
  onRequest: (answer) => lowered(requestDecision, 'onRequest', answer),
  onResponse: (answer) => lowered(responseDecision, 'onResponse', answer),
  planWarm: (answer) => lowered(list(warmUrl, 100_000), 'planWarm', answer),
};
