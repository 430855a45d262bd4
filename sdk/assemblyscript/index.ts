// `tero policy build` makes a module of this file: it exports the functions of the contract, and asks those of `policy.ts`.

import * as policy from "./policy";
import { Manifest, Reader, RequestDecision, ResponseDecision, WarmUrl, Writer, letGo, reallocate } from "./tero";

export function cabi_realloc(old: usize, oldLength: usize, _align: usize, length: usize): usize {
  return reallocate(old, oldLength, length);
}

export function configure(settings: usize, length: usize): usize {
  const hooks: u8[] = [];
  if (isDefined(policy.onRequest)) hooks.push(0);
  if (isDefined(policy.onResponse)) hooks.push(1);
  if (isDefined(policy.planWarm)) hooks.push(2);
  const manifest: Manifest | null = policy.configure(String.UTF8.decodeUnsafe(settings, length));
  const out = new Writer(256);
  out.configured(manifest, hooks);
  return out.start;
}

export function onRequest(question: usize): usize {
  const reader = new Reader(question);
  reader.question();
  let decision = new RequestDecision();
  if (isDefined(policy.onRequest)) {
    const request = reader.request();
    decision = policy.onRequest(request, reader.moment());
  }
  const out = new Writer(256);
  out.requestDecision(decision);
  return out.start;
}

export function onResponse(question: usize): usize {
  const reader = new Reader(question);
  reader.question();
  let decision = new ResponseDecision();
  if (isDefined(policy.onResponse)) {
    const request = reader.request();
    const response = reader.response();
    decision = policy.onResponse(request, response, reader.moment());
  }
  const out = new Writer(256);
  out.responseDecision(decision);
  return out.start;
}

export function planWarm(question: usize): usize {
  const reader = new Reader(question);
  reader.question();
  let pages: WarmUrl[] = [];
  if (isDefined(policy.planWarm)) {
    const plan = reader.span();
    const popular = reader.popular();
    pages = policy.planWarm(plan, popular, reader.moment());
  }
  const out = new Writer(8);
  out.warmUrls(pages);
  return out.start;
}

export function cabi_post_configure(_answer: usize): void {
  letGo();
}
export function cabi_post_onRequest(_answer: usize): void {
  letGo();
}
export function cabi_post_onResponse(_answer: usize): void {
  letGo();
}
export function cabi_post_planWarm(_answer: usize): void {
  letGo();
}
