// The package under Node.js, for tests of a policy: the log goes to standard error, and tables are those that a test sets.
export { redirect } from './answers.js';
import { tableRows } from './testing.js';

export const log = (message) => console.error(message);
export const tables = {
  get: (table, key) => tableRows(table).get(key),
  longestPrefix(table, text) {
    const keys = [...tableRows(table).keys()].filter((key) => text.startsWith(key));
    const [key] = keys.sort((one, other) => other.length - one.length);
    return key === undefined ? undefined : { key, value: tableRows(table).get(key) };
  },
};
