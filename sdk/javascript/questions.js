// The questions of the engine as friendly objects. Their texts come as one string, and spans point into its UTF-8.

/** Cuts spans out of the texts of a question. */
function cutter(texts) {
  // In ASCII, units of JavaScript are bytes.
  if (!/[^\x00-\x7f]/.test(texts)) return (span) => texts.slice(span.start, span.start + span.length);
  const bytes = new TextEncoder().encode(texts);
  const decoder = new TextDecoder();
  return (span) => decoder.decode(bytes.subarray(span.start, span.start + span.length));
}

const find = (fields, name) => {
  const wanted = name.toLowerCase();
  return fields.find(([found]) => found === wanted)?.[1];
};

class Request {
  /** The first line of a field. */
  header(name) {
    return find(this.headers, name);
  }

  /** The value of a cookie. */
  cookie(name) {
    return this.cookies.find(([found]) => found === name)?.[1];
  }
}

class Response {
  /** The first line of a field. */
  header(name) {
    return find(this.headers, name);
  }
}

class Moment {
  /** Minutes since local midnight. */
  get mins() {
    return this.hour * 60 + this.minute;
  }
}

export function lift(texts) {
  const cut = cutter(texts);
  const optional = (span) => (span === undefined ? undefined : cut(span));
  const pairs = (fields) => fields.map(({ name, value }) => [cut(name), cut(value)]);
  const holiday = ({ name, open }) => ({ name: cut(name), open });
  return {
    text: cut,
    request: (raw) =>
      Object.assign(new Request(), {
        method: cut(raw.method),
        scheme: cut(raw.scheme),
        host: cut(raw.host),
        path: cut(raw.path),
        query: optional(raw.query),
        headers: pairs(raw.headers),
        cookies: pairs(raw.cookies),
        device: raw.device,
        deviceSource: raw.deviceSource,
        client: {
          network: optional(raw.client.network),
          country: optional(raw.client.country),
          region: optional(raw.client.region),
          bucket: raw.client.bucket,
        },
        route: optional(raw.route),
        variantName: optional(raw.variantName),
      }),
    response: (raw) =>
      Object.assign(new Response(), {
        ...raw,
        headers: pairs(raw.headers),
        length: raw.length === undefined ? undefined : Number(raw.length),
      }),
    moment: (raw) =>
      Object.assign(new Moment(), {
        ...raw,
        unixSecs: Number(raw.unixSecs),
        nextOffsetChange: raw.nextOffsetChange && { ...raw.nextOffsetChange, unixSecs: Number(raw.nextOffsetChange.unixSecs) },
        holiday: raw.holiday && holiday(raw.holiday),
        nearbyHolidays: raw.nearbyHolidays.map((near) => ({ daysAhead: near.daysAhead, holiday: holiday(near.holiday) })),
      }),
    popular: (pages) =>
      pages.map(({ url, requests, variantName }) => ({ url: cut(url), requests: Number(requests), variantName: optional(variantName) })),
  };
}
