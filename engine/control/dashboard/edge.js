// The way to the edge: requests with the token, which stays in this variable, and the stream.

let token = "";

/** What the edge refuses, with the cure that it names. */
export class Refusal extends Error {
  constructor(status, problem, sent) {
    super(problem.cure ? `${problem.error}; ${problem.cure}` : problem.error);
    this.status = status;
    this.sent = sent;
  }

  /** Whether the token is missing or wrong. One that was given while the edge answered is still to be tried. */
  get wantsToken() {
    return this.status === 401 && this.sent === token;
  }
}

/** Keeps the token for the requests that follow. */
export function giveToken(text) {
  token = text.trim();
}

async function send(method, path, content, signal) {
  const headers = {};
  const sent = token;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (content !== undefined) headers["Content-Type"] = "application/json";
  const body = content === undefined ? undefined : JSON.stringify(content);
  const response = await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "omit" });
  if (response.ok) return response;
  let problem = { error: `the edge answered ${response.status}` };
  try {
    problem = await response.json();
  } catch {
    // Something between the page and the edge has answered.
  }
  throw new Refusal(response.status, problem, sent);
}

/** The answer to a request, which is JSON. */
export async function call(method, path, content) {
  const response = await send(method, path, content, AbortSignal.timeout(60_000));
  return response.json();
}

/** The lines of a stream, each as an object. It fails if no line comes for `silence` milliseconds. */
export async function* lines(path, stop, silence) {
  const patience = new AbortController();
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => patience.abort(), silence);
  };
  wait();
  try {
    const response = await send("GET", path, undefined, AbortSignal.any([stop, patience.signal]));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      wait();
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) yield JSON.parse(part);
    }
  } finally {
    clearTimeout(timer);
    patience.abort();
  }
}
