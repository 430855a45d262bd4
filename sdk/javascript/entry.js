// `tero policy build` makes a component of this file: the policy, with errors written to the log. A trap alone does not name its cause.
import log from 'log';
import * as policy from './policy.js';

function loggingErrors(hook) {
  return (...args) => {
    try {
      return hook(...args);
    } catch (error) {
      // The operator reads a text that `configure` throws.
      if (hook !== policy.configure || typeof error !== 'string') {
        const [place] = String(error?.stack ?? '').split('\n');
        log(place ? `${error}, at ${place}` : String(error));
      }
      throw error;
    }
  };
}

export const configure = loggingErrors(policy.configure);
export const onRequest = loggingErrors(policy.onRequest);
export const onResponse = loggingErrors(policy.onResponse);
export const planWarm = loggingErrors(policy.planWarm);
