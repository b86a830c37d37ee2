// Keeps the numbers up to date. The page needs none of it: each of its controls is a link or a form.
"use strict";
(() => {
  const QUICK = 2000;         // between two looks while somebody is there
  const SLOW = 10000;         // and when nobody has moved for
  const IDLE = 5 * 60 * 1000;
  const PARTS = 10000;        // at least between two readings of curve and list
  const standing = document.querySelector("[data-standing]");
  if (!standing) return;
  const pulse = standing.querySelector("[data-pulse]");
  const pause = standing.querySelector("[data-pause]");
  const main = document.querySelector("main");
  const watch = document.querySelector("[data-watch]");
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  const LINES = 20;           // that the list of a file's accesses has
  let since = "";             // what the last answer was of
  let before = null;          // and its numbers
  let moved = Date.now();     // the last input
  let read = Date.now();      // the last reading of the parts
  let isStale = false;        // the parts are older than the numbers
  let isPaused = false;
  let failures = 0;
  let timer = 0;

  function say(state, text) {
    pulse.hidden = false;
    pulse.classList.toggle("still", state !== "live");
    if (pulse.textContent !== text) pulse.textContent = text;
  }

  const digits = number => number.toLocaleString("en-US");

  function show(numbers) {
    for (const element of document.querySelectorAll("[data-live]")) {
      const value = numbers[element.dataset.live];
      if (value === undefined) continue;
      const isTime = element.dataset.live === "as_of";
      const text = isTime ? value.slice(11, 19) + " UTC" : digits(value);
      if (isTime) {
        element.dateTime = value;
        element.title = new Date(value).toLocaleString();
      }
      if (element.textContent === text) continue;
      element.textContent = text;
      if (!isTime && !isCalm.matches) element.animate([{color: "var(--accent)"}, {}], 1200);
    }
    if (!watch && numbers.accesses !== undefined) {
      const end = document.title.indexOf(" · ");
      document.title = digits(numbers.accesses) + " accesses" + document.title.slice(end);
    }
  }

  // What came between two looks at a file. The numbers tell kind and class, and no address.
  function list(numbers) {
    const [first, last] = [before.accesses + 1, numbers.accesses];
    const number = last < first ? "" : first === last ? digits(last) : `${digits(first)} to ${digits(last)}`;
    const grown = name => Object.entries(numbers[name])
      .map(([each, count]) => [each.replace("_", " "), count - before[name][each]])
      .filter(([, count]) => count > 0)
      .map(([each, count]) => count === 1 ? each : `${each} ${digits(count)}`)
      .join(", ");
    const kinds = grown("kinds");
    if (!kinds) return;
    const row = document.createElement("tr");
    for (const text of [numbers.as_of.slice(11, 19) + " UTC", number, kinds, grown("classes")]) {
      row.insertCell().textContent = text;
    }
    const lines = watch.querySelector("tbody");
    if (!lines.querySelector("[data-line]")) lines.replaceChildren();
    row.dataset.line = "";
    lines.prepend(row);
    if (lines.rows.length > LINES) lines.lastElementChild.remove();
  }

  // The reader's own time, where the page says UTC.
  function localTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      if (!isNaN(moment)) element.title = moment.toLocaleString();
    }
  }

  function isInUse(part) {
    const selection = getSelection();
    return part.contains(document.activeElement)
      || (!selection.isCollapsed && selection.containsNode(part, true));
  }

  // Curve and list come as the server draws them: this address once more, its parts exchanged.
  async function readParts() {
    read = Date.now();
    const answer = await fetch(location.href, {cache: "no-store"});
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    isStale = false;
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!fresh) continue;
      if (isInUse(part)) {
        isStale = true;
        continue;
      }
      const wasOpen = [...part.querySelectorAll("details")].map(details => details.open);
      const search = part.querySelector("[type=search]");
      if (search) fresh.querySelector("[type=search]").value = search.value;
      fresh.querySelectorAll("details").forEach((details, index) => {
        details.open = wasOpen[index] ?? false;
      });
      localTimes(fresh);
      part.replaceWith(fresh);
    }
  }

  async function look() {
    const query = new URLSearchParams();
    if (since) query.set("since", since);
    if (watch) query.set("path", watch.dataset.path);
    const answer = await fetch("api/v1/live?" + query, {cache: "no-store"});
    if (answer.status === 401 || answer.status === 404) {
      isPaused = true;
      say("ended", "logged out");
      pause.hidden = true;
      return;
    }
    if (answer.status === 304) {
      const now = new Date(answer.headers.get("Date"));
      if (!isNaN(now)) show({as_of: now.toISOString()});
    } else {
      if (!answer.ok) throw new Error(answer.status);
      const numbers = await answer.json();
      if (watch && before) list(numbers);
      before = numbers;
      // The first answer may be what the page shows already.
      if (since) isStale = true;
      since = numbers.since;
      show(numbers);
      if (numbers.accesses && document.querySelector("[data-empty]")) location.reload();
    }
    if (document.querySelector("[data-away]")) location.reload();
    main.classList.remove("is-away");
    if (isStale && Date.now() - read >= PARTS) await readParts();
    failures = 0;
    if (!isPaused) say("live", "live");
  }

  async function turn() {
    clearTimeout(timer);
    if (isPaused || document.hidden) return;
    try {
      await look();
    } catch (error) {
      failures += 1;
      main.classList.add("is-away");
      const reason = error.message === "503" ? "the counts cannot be read" : "no answer";
      if (!isPaused) say("away", reason + "; the numbers are from before");
    }
    const isIdle = Date.now() - moved > IDLE || failures > 3;
    if (!isPaused) timer = setTimeout(turn, isIdle ? SLOW : QUICK);
  }

  pause.hidden = false;
  if (watch) watch.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    if (isPaused) say("still", "paused");
    turn();
  });
  for (const event of ["pointermove", "keydown", "scroll"]) {
    addEventListener(event, () => { moved = Date.now(); }, {passive: true});
  }
  document.addEventListener("visibilitychange", turn);
  localTimes(document);
  turn();
})();
