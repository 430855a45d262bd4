// Countries: the start page redirects to that of the visitor's country, and pages that differ by country are stored for each. The
// operator has a source of countries (`[site.country]`).

import { redirect, type Configure, type OnRequest } from "tero-policy";

interface Settings {
  /** The start page of each country. */
  start: Record<string, string>;
  /** The start page of all others. */
  elsewhere: string;
  /** Pages that differ by country; a pattern may end in `*`. The origin is told it in `X-Country`. */
  differ: string[];
}

/** The value for visitors whose country isn't known, or has no start page. */
const OTHER = "other";

let settings: Settings;

export const configure: Configure = (given) => {
  settings = given as Settings;
  const { start, elsewhere, differ, ...unknown } = settings;
  for (const key of Object.keys(unknown)) throw `unknown key \`${key}\``;
  if (typeof start !== "object" || typeof elsewhere !== "string" || !Array.isArray(differ)) {
    throw "`start` must be a table of paths, `elsewhere` a path, `differ` a list of paths";
  }
  return { country: true, pathPatterns: ["/", ...differ], abilities: ["answer"], keyParts: ["country"], requestEdits: ["x-country"] };
};

export const onRequest: OnRequest = (request) => {
  const { country } = request.client;
  const page = country === undefined ? undefined : settings.start[country];
  if (request.path === "/") {
    return { answer: redirect(302, page ?? settings.elsewhere), reason: "start page" };
  }
  const differs = settings.differ.some((pattern) =>
    pattern.endsWith("*") ? request.path.startsWith(pattern.slice(0, -1)) : request.path === pattern,
  );
  if (!differs) return {};
  const value = page === undefined ? OTHER : country!;
  return { keyParts: { country: value }, requestEdits: { "x-country": value }, reason: "differs by country" };
};
