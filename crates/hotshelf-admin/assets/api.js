// The JSON API of the server. Addresses are relative to the base of the page.

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }

  /** Whether the server asks for other rights. */
  get isRefusal() {
    return this.status === 401 || this.status === 403;
  }
}

const REFUSALS = {
  401: "You are not signed in. Reload the page to sign in.",
  403: "You are not allowed to do this.",
};

async function answer(response) {
  if (response.type === "opaqueredirect") throw new ApiError(REFUSALS[401], 401);
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (response.ok && body !== null) return body;
  const detail = body && typeof body.error === "string" ? body.error : null;
  const refusal = REFUSALS[response.status];
  if (refusal) throw new ApiError(detail ? `${refusal} (${detail})` : refusal, response.status);
  throw new ApiError(detail ?? `unexpected answer with status ${response.status}`, response.status);
}

async function request(path, { signal, timeout = 30, ...options } = {}) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  const timer = setTimeout(abort, timeout * 1000);
  try {
    const response = await fetch(path, {
      cache: "no-store", credentials: "same-origin", redirect: "manual", signal: controller.signal, ...options,
    });
    return await answer(response);
  } catch (error) {
    if (error instanceof ApiError || signal?.aborted) throw error;
    if (error.name === "AbortError") throw new ApiError(`no answer within ${timeout} s`, 0);
    throw new ApiError("no connection to the service", 0);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

const query = (pairs) => new URLSearchParams(pairs).toString();

export const fetchState = (since, signal) =>
  request(`api/state?${query({ since })}`, { signal, timeout: 8 });

export const fetchCache = (id, signal) => request(`api/cache?${query({ id })}`, { signal });

export const fetchKeys = (pattern, scan, signal) =>
  request(`api/keys?${query(scan === null ? { pattern } : { pattern, scan })}`, { signal });

export const fetchKey = (key, signal) => request(`api/key?${query({ key })}`, { signal });

export const fetchLog = (signal) => request("api/log", { signal });

/** Invalidates, or only counts what would be removed. */
export function invalidate(by, name, dryRun, signal) {
  return request("api/invalidate", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Hotshelf-Admin": "1" },
    body: JSON.stringify({ by, name, dry_run: dryRun }),
    signal,
    timeout: 120,
  });
}
