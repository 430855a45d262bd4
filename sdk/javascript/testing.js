// For tests of a policy with Node.js: questions with defaults, and data tables.
import { lift } from './questions.js';

const rows = new Map();

/** The rows of a table that a test has set. */
export const tableRows = (name) => rows.get(name) ?? new Map();

/** Sets a data table, from keys to values. */
export const setTable = (name, table) => void rows.set(name, new Map(Object.entries(table)));

const its = lift('');
const none = { start: 0, length: 0 };

/** A request with these parts; `headers` and `cookies` are objects from names to values. */
export function request({ headers = {}, cookies = {}, ...parts } = {}) {
  const made = its.request({
    method: none, scheme: none, host: none, path: none, headers: [], cookies: [], device: 'unknown', deviceSource: 'nothing', client: {},
  });
  return Object.assign(made, { method: 'GET', scheme: 'https', host: 'localhost', path: '/' }, parts, {
    headers: Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    cookies: Object.entries(cookies),
  });
}

/** A response with these parts. */
export function response({ headers = {}, ...parts } = {}) {
  const made = its.response({ status: 200, headers: [], keyHash: 0n });
  return Object.assign(made, parts, { headers: Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]) });
}

/** A moment with these parts; the rest is that of the Unix epoch. */
export function moment(parts = {}) {
  const epoch = { unixSecs: 0, year: 1970, month: 1, day: 1, weekday: 'thursday', hour: 0, minute: 0, second: 0, utcOffsetMins: 0, nearbyHolidays: [] };
  return Object.assign(its.moment(epoch), parts);
}
