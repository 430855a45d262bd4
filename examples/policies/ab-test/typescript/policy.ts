// An A/B test: a share of the visitors gets another page under the same address. A visitor stays in its bucket, by a cookie of the
// application, or else by its network.

import type { Configure, OnRequest } from "tero-policy";

interface Settings {
  /** Different experiments divide visitors differently. */
  experiment: string;
  /** A cookie that stays with a visitor. */
  cookie: string;
  path: string;
  /** What the origin is asked for instead. */
  alternative: string;
  /** How many tenths of the visitors get it. */
  tenths: number;
}

/** Each bucket is a decision of its own, so there are no more than the share needs. */
const BUCKETS = 10;

let settings: Settings;

export const configure: Configure = (given) => {
  settings = given as Settings;
  const { experiment, cookie, path, alternative, tenths, ...unknown } = settings;
  for (const key of Object.keys(unknown)) throw `unknown key \`${key}\``;
  for (const [key, text] of Object.entries({ experiment, cookie, path, alternative })) {
    if (typeof text !== "string") throw `\`${key}\` must be a text`;
  }
  if (!(0 <= tenths && tenths <= BUCKETS)) throw `\`tenths\` is ${tenths}: write 0 to 10`;
  return { bucket: { experiment, buckets: BUCKETS, cookie }, abilities: ["rewrite", "log-tag"] };
};

export const onRequest: OnRequest = (request) => {
  if (request.path !== settings.path) return {};
  // A visitor without a bucket sees what everybody saw before.
  const { bucket } = request.client;
  if (bucket !== undefined && bucket < settings.tenths) {
    return { rewrite: { path: settings.alternative }, logTag: "b", reason: "alternative" };
  }
  return { logTag: "a", reason: "as before" };
};
