// Turns a policy with friendly functions into the four functions of the contract. Errors go to the log with their place, since a
// trap alone does not name its cause.
import { AnswerError, lower } from './answers.js';
import { lift } from './questions.js';

const HOOKS = { onRequest: 'on-request', onResponse: 'on-response', planWarm: 'plan-warm' };
/** What a hook that the policy doesn't have would answer. */
const NOTHING = { onRequest: {}, onResponse: {}, planWarm: [] };

export function adapt(policy, log) {
  const hooks = Object.keys(HOOKS).filter((name) => typeof policy[name] === 'function');

  function asked(name, ask) {
    try {
      return ask();
    } catch (error) {
      // The operator reads a text that `configure` throws.
      if (name === 'configure' && typeof error === 'string') throw error;
      const [place] = String(error?.stack ?? '').split('\n');
      log(error instanceof AnswerError ? error.message : place ? `${error}, at ${place}` : String(error));
      throw error;
    }
  }
  const decided = (name, ...question) => (hooks.includes(name) ? policy[name](...question) : NOTHING[name]);

  return {
    configure: (settings) =>
      asked('configure', () =>
        lower.configure(
          policy.configure(JSON.parse(settings)),
          hooks.map((name) => HOOKS[name]),
        ),
      ),
    onRequest: (texts, request, now) =>
      asked('onRequest', () => {
        const its = lift(texts);
        return lower.onRequest(decided('onRequest', its.request(request), its.moment(now)));
      }),
    onResponse: (texts, request, response, now) =>
      asked('onResponse', () => {
        const its = lift(texts);
        return lower.onResponse(decided('onResponse', its.request(request), its.response(response), its.moment(now)));
      }),
    planWarm: (texts, plan, popular, now) =>
      asked('planWarm', () => {
        const its = lift(texts);
        return lower.planWarm(decided('planWarm', its.text(plan), its.popular(popular), its.moment(now)));
      }),
  };
}
