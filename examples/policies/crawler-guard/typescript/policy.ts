// Crawlers read pages that no visitor comes back to. They get what is stored, but what they fetch is not kept, unless visitors want
// it too. Their requests may have a rate limit of their own.

import type { Configure, OnRequest, OnResponse } from "tero-policy";

interface Settings {
  /** Pages that are kept whoever asks for them; a pattern may end in `*`. */
  keep: string[];
  /** The class of their rate limit, if they have one. */
  rate_class?: string;
}

let settings: Settings;

export const configure: Configure = (given) => {
  settings = given as Settings;
  const { keep, rate_class, ...unknown } = settings;
  for (const key of Object.keys(unknown)) throw `unknown key \`${key}\``;
  if (!Array.isArray(keep)) throw "`keep` must be a list of paths";
  return { device: true, pathPatterns: keep, rateClasses: rate_class ? [rate_class] : [], abilities: ["admission"] };
};

export const onRequest: OnRequest = (request) =>
  settings.rate_class && request.device === "bot" ? { rateClass: settings.rate_class, reason: "crawler" } : {};

export const onResponse: OnResponse = (request) => {
  const isKept = settings.keep.some((pattern) =>
    pattern.endsWith("*") ? request.path.startsWith(pattern.slice(0, -1)) : request.path === pattern,
  );
  return request.device === "bot" && !isKept ? { admit: false, reason: "for a crawler only" } : {};
};
