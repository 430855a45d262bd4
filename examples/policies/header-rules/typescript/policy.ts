// Fields of requests to the origin and of responses, by path: set, or removed. The first rule for a path is used.

import type { Configure, Edits, OnRequest, OnResponse } from "tero-policy";

/** Fields with their values; an empty value removes the field. */
type Fields = Record<string, string>;

interface Rule {
  /** A path, or its beginning and `*`. */
  path: string;
  /** In the request to the origin. It becomes part of the key. */
  request?: Fields;
  /** In every response to a client, hits too. */
  response?: Fields;
  /** In a response before it is stored. */
  stored?: Fields;
}

let rules: Rule[];

export const configure: Configure = (settings) => {
  const { rules: given, ...unknown } = settings as { rules: Rule[] };
  for (const key of Object.keys(unknown)) throw `unknown key \`${key}\``;
  if (!Array.isArray(given)) throw "`rules` must be a list of tables";
  rules = given;
  const names = (of: (rule: Rule) => Fields | undefined) => [...new Set(rules.flatMap((rule) => Object.keys(of(rule) ?? {})))];
  return {
    pathPatterns: rules.map((rule) => rule.path),
    requestEdits: names((rule) => rule.request),
    responseEdits: names((rule) => rule.response),
    storedEdits: names((rule) => rule.stored),
  };
};

export const onRequest: OnRequest = (request) => {
  const rule = ruleFor(request.path);
  return rule ? { requestEdits: edits(rule.request), responseEdits: edits(rule.response) } : {};
};

export const onResponse: OnResponse = (request) => {
  const rule = ruleFor(request.path);
  return rule ? { edits: edits(rule.stored) } : {};
};

const ruleFor = (path: string): Rule | undefined =>
  rules.find((rule) => (rule.path.endsWith("*") ? path.startsWith(rule.path.slice(0, -1)) : path === rule.path));

const edits = (fields: Fields = {}): Edits => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value || null]));
