// `tero policy build` makes a component of this file: the policy, with its answers checked, and with errors written to the log.
// A trap alone does not name its cause, and an answer of another shape would be changed without a word.
import log from 'log';
import * as policy from './policy.js';

// SHAPES: the types of the contract, written here by the build.

class ShapeError extends TypeError {}

/** What a type wants, in words. */
function words(type) {
  if (type === 'text') return 'a text';
  if (type === 'flag') return 'true or false';
  if (type.option) return `${words(type.option)}, or to be left out`;
  if (type.list) return 'a list';
  if (type.tuple) return `a list of ${type.tuple.length}`;
  if (type.whole) return `a whole number from ${type.whole[0]} to ${type.whole[1]}`;
  if (type.big) return 'a bigint';
  const named = TYPES[type.named];
  if (named.enum) return `one of ${named.enum.map((name) => `"${name}"`).join(', ')}`;
  if (named.variant) return `an object with the tag ${Object.keys(named.variant).map((tag) => `"${tag}"`).join(', ')}`;
  return `an object with ${Object.keys(named.record).join(', ')}`;
}

function shown(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64));
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}

/** Checks a value of an answer. `path` leads to it, `hook` gave the answer. */
function check(value, type, path, hook) {
  const place = path ? `\`${path}\` in the answer of ${hook}` : `the answer of ${hook}`;
  const refuse = (wanted = words(type)) => {
    throw new ShapeError(`${place} is ${shown(value)}: it wants ${wanted}`);
  };
  const within = (name) => (path ? `${path}.${name}` : name);
  if (type === 'text') return typeof value === 'string' || refuse();
  if (type === 'flag') return typeof value === 'boolean' || refuse();
  if (type.big) return typeof value === 'bigint' || refuse();
  if (type.whole) return (Number.isInteger(value) && type.whole[0] <= value && value <= type.whole[1]) || refuse();
  if (type.option) {
    if (value === undefined) return true;
    if (value === null) refuse(words(type));
    try {
      return check(value, type.option, path, hook);
    } catch (error) {
      // The value itself is wrong, not a part of it: it may also be left out.
      if (error instanceof ShapeError && error.message.startsWith(`${place} is `)) refuse();
      throw error;
    }
  }
  if (type.list || type.tuple) {
    if (!Array.isArray(value) || (type.tuple && value.length !== type.tuple.length)) refuse();
    value.forEach((item, index) => check(item, type.list ?? type.tuple[index], `${path}[${index}]`, hook));
    return true;
  }
  const named = TYPES[type.named];
  if (named.enum) return named.enum.includes(value) || refuse();
  if (value === null || typeof value !== 'object' || Array.isArray(value)) refuse();
  if (named.variant) {
    if (!Object.hasOwn(named.variant, value.tag)) refuse();
    const content = named.variant[value.tag];
    return content === null || check(value.val, content, within('val'), hook);
  }
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(named.record, name)) {
      const known = Object.keys(named.record).join(', ');
      throw new ShapeError(`${place} has the field \`${name}\`, which is not one of ${known}`);
    }
  }
  for (const [name, field] of Object.entries(named.record)) check(value[name], field, within(name), hook);
  return true;
}

function checked(name, type) {
  const hook = policy[name];
  return (...args) => {
    try {
      const answer = hook(...args);
      check(answer, type, '', name);
      return answer;
    } catch (error) {
      if (error instanceof ShapeError) {
        log(error.message);
      } else if (name !== 'configure' || typeof error !== 'string') {
        // The operator reads a text that `configure` throws.
        const [place] = String(error?.stack ?? '').split('\n');
        log(place ? `${error}, at ${place}` : String(error));
      }
      throw error;
    }
  };
}

export const configure = checked('configure', ANSWERS.configure);
export const onRequest = checked('onRequest', ANSWERS.onRequest);
export const onResponse = checked('onResponse', ANSWERS.onResponse);
export const planWarm = checked('planWarm', ANSWERS.planWarm);
