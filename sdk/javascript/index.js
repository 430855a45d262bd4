// What a policy in JavaScript or TypeScript gets from tero: friendly questions, checked answers, the log and the data tables.
// `tero policy build` puts this file beside the policy, so that `import { tables } from "tero-policy"` finds it.
import log from 'log';
import { get, longestPrefix } from 'tero:policy/tables@0.2.0';

export { log };
export { redirect } from './answers.js';
export const tables = { get, longestPrefix };
