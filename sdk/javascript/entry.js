// What `tero policy build` makes a component of: the policy, and what tells in the log what goes wrong in it. A trap alone says nothing.
import log from 'log';
import * as policy from './policy.js';

function told(hook) {
  return (...args) => {
    try {
      return hook(...args);
    } catch (error) {
      // A text that `configure` throws is for the operator.
      if (hook !== policy.configure || typeof error !== 'string') {
        const [place] = String(error?.stack ?? '').split('\n');
        log(place ? `${error}, at ${place}` : String(error));
      }
      throw error;
    }
  };
}

export const configure = told(policy.configure);
export const onRequest = told(policy.onRequest);
export const onResponse = told(policy.onResponse);
export const planWarm = told(policy.planWarm);
