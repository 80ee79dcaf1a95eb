// What all pages share: times in the reader's own zone, and a page that keeps itself up to date.
//
// Parts of a page that may change have an id and the attribute `data-live`. When the server says that something changed,
// the page is fetched again and those parts are exchanged; what somebody is typing into, or has opened, stays as it is.
// `data-live="SELECTOR…"` is not needed: the page itself is cheap.
"use strict";

(function () {
  const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const named = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });
  const zoneName = (at) => (named.formatToParts(at).find((part) => part.type === "timeZoneName") || {}).value || "";
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

  function ago(at) {
    const seconds = (at - Date.now()) / 1000;
    for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
    }
    return Math.abs(seconds) < 20 ? "just now" : "under a minute ago";
  }

  // The server writes UTC, so that a page is right without any script.
  function localise(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      time.textContent = time.hasAttribute("data-ago") ? ago(at) : zone.format(at) + " " + zoneName(at);
      time.title = whole.format(at);
    }
  }

  // Something a page can use from its own script.
  const watch = (window.thermalWatch = { localise, changed: [] });
  watch.csrf = () => (document.querySelector('meta[name="csrf"]') || {}).content || "";

  function opened(root) {
    return new Set([...root.querySelectorAll("details[open][id]")].map((one) => one.id));
  }

  function busy(part) {
    const active = document.activeElement;
    const typing = active && part.contains(active) && active.matches("input, textarea, select");
    const changed = [...part.querySelectorAll("input, textarea, select")].some((field) =>
      field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked : field.tagName !== "SELECT" && field.value !== field.defaultValue);
    return typing || changed;
  }

  function exchange(fresh) {
    // What is there now and was not before has no place to go to: the first station, the first picture.
    const typing = document.activeElement && document.activeElement.matches("input, textarea, select");
    if (!typing && [...fresh.querySelectorAll("[data-live][id]")].some((part) => !document.getElementById(part.id))) { location.reload(); return; }
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const next = fresh.getElementById(part.id);
      if (!next) { if (!busy(part)) part.replaceChildren(); continue; }
      localise(next);
      for (const id of opened(part)) { const one = next.querySelector("#" + CSS.escape(id)); if (one) one.open = true; }
      if (busy(part) || next.isEqualNode(part)) continue;
      put(part, next);
    }
    document.title = fresh.title;
  }

  // A list whose entries have ids and are still the same ones is exchanged entry by entry: what did not change is not
  // drawn again.
  function put(part, next) {
    const now = [...part.children], then = [...next.children];
    const same = now.length && now.length === then.length && part.cloneNode(false).isEqualNode(next.cloneNode(false)) && now.every((one, index) => one.id && one.id === then[index].id);
    if (same) { now.forEach((one, index) => { if (!one.isEqualNode(then[index])) put(one, then[index]); }); return; }
    const focused = part.contains(document.activeElement) && document.activeElement.id;
    part.replaceWith(document.adoptNode(next));
    if (focused) { const again = document.getElementById(focused); if (again) again.focus(); }
  }

  let looking = null, again = false, last = 0;
  async function look() {
    if (looking) { again = true; return; }
    looking = true;
    try {
      const answer = await fetch(location.href, { headers: { "x-live": "1" }, cache: "no-store", redirect: "manual" });
      if (answer.type === "opaqueredirect") { location.reload(); return; }
      if (answer.ok) {
        exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
        last = Date.now();
        for (const tell of watch.changed) tell();
      }
    } catch { /* The connection's own state says so. */ }
    looking = null;
    if (again) { again = false; soon(); }
  }

  watch.look = look;

  let timer = null;
  function soon() {
    if (timer || document.hidden) return;
    timer = setTimeout(() => { timer = null; look(); }, Math.max(0, 2000 - (Date.now() - last)));
  }

  const connection = document.getElementById("connection");
  let heard = 0, since = new Date();
  function show(state, text) {
    if (!connection || connection.dataset.state === state) return;
    connection.dataset.state = state;
    connection.className = state;
    connection.textContent = text;
  }
  function lost() {
    show("lost", "Connection lost; this is as of " + zone.format(since) + " " + zoneName(since));
  }

  let events = null;
  function listen() {
    if (events) events.close();
    events = new EventSource("/live");
    events.addEventListener("beat", () => {
      const away = connection.dataset.state === "lost";
      heard = Date.now(); since = new Date();
      show("live", "Live");
      if (away) soon();
    });
    events.addEventListener("change", () => { heard = Date.now(); since = new Date(); soon(); });
    events.onerror = () => {
      lost();
      // The browser tries again by itself, but not after an answer that was no stream, such as that of a proxy.
      if (events.readyState === EventSource.CLOSED) { setTimeout(listen, 5000); look(); }
    };
  }

  localise(document);
  setInterval(() => localise(document), 30000);
  if (connection && window.EventSource) {
    listen();
    // A page that somebody left is kept for the way back, and would keep its connection, of which a browser has six.
    window.addEventListener("pagehide", () => events.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) { listen(); soon(); } });
    setInterval(() => { if (heard && Date.now() - heard > 40000) lost(); }, 5000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  }

  // A menu that is open closes when somebody goes on elsewhere.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.me[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
})();
