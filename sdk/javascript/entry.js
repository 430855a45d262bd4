// `tero policy build` makes a component of this file: the policy, with its questions made friendly and its answers checked.
import log from 'log';
import { adapt } from './.tero/adapter.js';
import * as policy from './policy.js';

const adapted = adapt(policy, log);
export const configure = adapted.configure;
export const onRequest = adapted.onRequest;
export const onResponse = adapted.onResponse;
export const planWarm = adapted.planWarm;
