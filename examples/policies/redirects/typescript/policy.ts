// Pages that have moved or are gone, by a data table. Its keys are paths; a value is the new place, or `gone`. A key that ends in
// `/` stands for everything below it, and what follows is kept.

import { redirect, tables, type Configure, type OnRequest } from "tero-policy";

const STATUSES = [301, 302, 307, 308] as const;
type Status = (typeof STATUSES)[number];

/** The status of redirects. */
let status: Status;

export const configure: Configure = (settings) => {
  const { status: given, ...unknown } = settings as { status: Status };
  for (const key of Object.keys(unknown)) throw `unknown key \`${key}\``;
  if (!STATUSES.includes(given)) throw `\`status\` is ${given}: write 301, 302, 307 or 308`;
  status = given;
  return { tables: ["redirects"], abilities: ["answer"] };
};

export const onRequest: OnRequest = (request) => {
  const place = newPlace(request.path);
  if (place === undefined) return {};
  if (place === "gone") {
    return { answer: { status: 410, fields: { "content-type": "text/plain" }, body: "gone\n" }, reason: "gone" };
  }
  return { answer: redirect(status, place), reason: "moved" };
};

/** The longest value that a field may have. A longer place is left to the origin. */
const MAX_PLACE = 4_096;

/** Where the table says that a page is now. */
function newPlace(path: string): string | undefined {
  const place = tables.get("redirects", path);
  if (place !== undefined) return place;
  const row = tables.longestPrefix("redirects", path);
  if (!row?.key.endsWith("/")) return undefined;
  if (row.value === "gone") return "gone";
  const moved = row.value + path.slice(row.key.length);
  return moved.length <= MAX_PLACE ? moved : undefined;
}
