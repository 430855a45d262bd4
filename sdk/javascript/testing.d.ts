// For tests of a policy with Node.js: questions with defaults, and data tables.
import type { Client, Moment, Request, Response } from "./index.js";

/** Sets a data table, from keys to values. */
export function setTable(name: string, table: Record<string, string>): void;

type Parts<T> = Partial<Omit<T, "headers" | "cookies" | "header" | "cookie">>;

/** A request with these parts: `GET https://localhost/` without fields, unless they say otherwise. */
export function request(
  parts?: Parts<Request> & { headers?: Record<string, string>; cookies?: Record<string, string>; client?: Client },
): Request;

/** A response with these parts; its status is 200 by default. */
export function response(parts?: Parts<Response> & { headers?: Record<string, string> }): Response;

/** A moment with these parts; the rest is that of the Unix epoch. */
export function moment(parts?: Partial<Moment>): Moment;
