/* global URL, document, location, fetch, DOMParser, EventSource, navigator, window, setTimeout */
// All that the pages do in a browser beside being read: keep up with what changes, show output as it is written, copy.
// Without it they are the same pages, as of when they were loaded.

/** A page that nothing changes on, or that is looked at for long, is asked for less and less often. */
const SLOWEST_REFRESH_MS = 30_000;
const SLOWER_AFTER_MS = 10 * 60_000;

/** How soon output is asked for again whose attempt was lost. */
const FOLLOW_AGAIN_MS = 3000;

/** Where somebody has scrolled up, what comes doesn't pull them down again. */
const AT_END_PX = 40;

const startedAtMs = Date.now();

/** When the next refresh is due, by what the page's regions ask for; undefined if none does. */
function refreshDelayMs() {
  const seconds = Array.from(document.querySelectorAll("[data-refresh]"), ({ dataset }) => Number(dataset.refresh));
  if (seconds.length === 0) return undefined;
  const isOld = Date.now() - startedAtMs > SLOWER_AFTER_MS;
  return isOld ? SLOWEST_REFRESH_MS : Math.min(...seconds) * 1000;
}

let failures = 0;

async function refresh() {
  const delayMs = refreshDelayMs();
  if (delayMs === undefined) return;
  setTimeout(
    async () => {
      if (!document.hidden) await takeFreshRegions();
      void refresh();
    },
    Math.min(delayMs * 2 ** failures, SLOWEST_REFRESH_MS),
  );
}

async function takeFreshRegions() {
  const url = new URL(location.href);
  url.searchParams.set("refresh", "");
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const region of document.querySelectorAll("[data-refresh]"))
      replaceRegion(region, page.getElementById(region.id));
    failures = 0;
  } catch {
    // The endpoint is out of reach, or restarts: what is shown stays, and is asked for again later.
    failures = Math.min(failures + 1, 5);
  }
}

function replaceRegion(region, fresh) {
  if (fresh === null) return;
  const { version } = region.dataset;
  if (version !== undefined && version === fresh.dataset.version) return;
  if (region.innerHTML === fresh.innerHTML && region.dataset.refresh === fresh.dataset.refresh) return;
  // Who is about to copy something from here shall not lose it.
  const selection = window.getSelection();
  if (selection !== null && !selection.isCollapsed && region.contains(selection.anchorNode)) return;
  const focused = region.contains(document.activeElement) ? place(region, document.activeElement) : undefined;
  const scrolled = Array.from(region.querySelectorAll(".scroll"), ({ scrollLeft }) => scrollLeft);
  region.replaceWith(fresh);
  Array.from(fresh.querySelectorAll(".scroll")).forEach(
    (element, index) => (element.scrollLeft = scrolled[index] ?? 0),
  );
  focused?.(fresh)?.focus({ preventScroll: true });
  enhance(fresh);
}

/** Finds, in another version of a region, what an element is there: the link to the same page, or the one at its place. */
function place(region, element) {
  const href = element.getAttribute("href");
  if (href !== null) return (fresh) => fresh.querySelector(`a[href=${JSON.stringify(href)}]`);
  const all = `${element.tagName}, [tabindex]`;
  const index = Array.from(region.querySelectorAll(all)).indexOf(element);
  return (fresh) => fresh.querySelectorAll(all)[index];
}

/** The connections by which output comes, each by the element that shows it. */
const following = new Map();

/** Shows what an action writes, from its beginning on, as it is written. */
function followStream(terminal) {
  terminal.textContent = "";
  const source = new EventSource(terminal.dataset.stream);
  following.set(terminal, source);
  source.addEventListener("message", ({ data }) => {
    const isAtEnd = terminal.scrollHeight - terminal.scrollTop - terminal.clientHeight < AT_END_PX;
    // Made by the server, with all of the action's own text escaped.
    terminal.insertAdjacentHTML("beforeend", JSON.parse(data));
    if (isAtEnd) terminal.scrollTop = terminal.scrollHeight;
  });
  for (const last of ["end", "cut"]) source.addEventListener(last, () => unfollow(terminal));
  source.addEventListener("lost", () => {
    unfollow(terminal);
    setTimeout(() => {
      if (document.contains(terminal)) followStream(terminal);
    }, FOLLOW_AGAIN_MS);
  });
  source.addEventListener("error", () => {
    if (!document.contains(terminal)) unfollow(terminal);
  });
}

function unfollow(terminal) {
  following.get(terminal)?.close();
  following.delete(terminal);
}

/** Nobody looks at a hidden page, and a browser opens few connections at once, for all of its pages together. */
let unfollowed = [];

function onVisibilityChange() {
  if (document.hidden) {
    unfollowed = [...following.keys()];
    unfollowed.forEach(unfollow);
  } else {
    unfollowed
      .splice(0)
      .filter((terminal) => document.contains(terminal))
      .forEach(followStream);
  }
}

function enableCopying(button) {
  const text = button.parentElement.querySelector("code").textContent;
  button.hidden = navigator.clipboard === undefined;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

function enhance(part) {
  for (const terminal of part.querySelectorAll("[data-stream]")) followStream(terminal);
  for (const button of part.querySelectorAll("[data-copy]")) enableCopying(button);
}

document.addEventListener("visibilitychange", onVisibilityChange);
enhance(document);
void refresh();
