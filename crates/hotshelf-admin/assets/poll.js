// Reads the state once a second: not while the page is hidden, and less often after errors.

import { fetchState } from "./api.js";

const INTERVAL = 1000;
const LONGEST = 10000;

/** Starts to poll. `since` returns the time of the last sample; `onState` receives each state,
 *  `onError` each failure with the seconds until the next attempt. */
export function poll({ since, onState, onError }) {
  let timer = null;
  let pending = null;
  let failures = 0;

  async function run() {
    clearTimeout(timer);
    if (pending || document.hidden) return;
    const began = performance.now();
    const controller = new AbortController();
    pending = controller;
    let wait = INTERVAL;
    let state = null;
    try {
      state = await fetchState(since(), controller.signal);
      failures = 0;
    } catch (error) {
      if (!controller.signal.aborted) {
        failures += 1;
        wait = Math.min(LONGEST, INTERVAL * 2 ** (failures - 1));
        onError(error, wait / 1000);
      }
    } finally {
      pending = null;
    }
    const spent = failures > 0 ? 0 : performance.now() - began;
    timer = setTimeout(run, Math.max(200, wait - spent));
    if (state) onState(state);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else run();
  });
  window.addEventListener("online", run);
  window.addEventListener("pageshow", (event) => event.persisted && run());
  window.addEventListener("pagehide", () => {
    clearTimeout(timer);
    pending?.abort();
  });
  run();
}
