// What all pages share: times in the reader's own zone, and a page that keeps itself up to date.
//
// Parts of a page that may change have an id and the attribute `data-live`. When the server says that something changed
// that this page is about, and otherwise once a minute, the page is fetched again and those parts are exchanged; what
// somebody is typing into, or has opened, stays as it is. "Live" means both: changes are heard, and the last look at the
// page was answered. Otherwise it says as of when the page is, which is when it was last fetched.
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

  function touched(field) {
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
    return field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected));
  }

  function busy(part) {
    const active = document.activeElement;
    const typing = active && part.contains(active) && active.matches("input, textarea, select");
    return typing || [...part.querySelectorAll("input, textarea, select")].some(touched);
  }

  // Not while somebody has something in a form, which would be lost; the next look asks again.
  function reload() {
    if ([...document.forms].some(busy)) return false;
    location.reload();
    return true;
  }

  function exchange(fresh) {
    // What is there now and was not before has no place to go to: the first station, the first picture.
    if ([...fresh.querySelectorAll("[data-live][id]")].some((part) => !document.getElementById(part.id)) && reload()) return;
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

  // `heard`: the server says that it hears of changes. `looked`: the last look was answered. `since`: as of when this is.
  const connection = document.getElementById("connection");
  let heard = false, beat = 0, looked = true, since = new Date();
  function show() {
    if (!connection) return;
    const state = heard && looked ? "live" : "lost";
    const text = state === "live" ? "Live" : "Connection lost; this is as of " + zone.format(since) + " " + zoneName(since);
    if (connection.dataset.state === state && connection.textContent === text) return;
    connection.dataset.state = state;
    connection.className = state;
    connection.textContent = text;
  }

  let looking = false, again = false, last = Date.now();
  async function look() {
    if (looking) { again = true; return; }
    looking = true;
    const begun = new Date();
    let fine = false;
    last = begun.getTime();
    try {
      const answer = await fetch(location.href, { headers: { "x-live": "1" }, cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(20000) });
      // The session is over.
      if (answer.type === "opaqueredirect") reload();
      if (answer.ok) {
        exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
        fine = true;
        since = begun;
      }
    } catch { /* It is shown that nothing came. */ }
    looking = false;
    looked = fine;
    if (beat || !fine) show();
    if (fine) for (const tell of watch.changed) tell();
    if (again) { again = false; soon(); }
  }

  watch.look = look;

  // At least so many milliseconds after the last look. What is wanted sooner goes before.
  let timer = null, due = 0;
  function soon(apart = 2000) {
    if (document.hidden) return;
    const at = Math.max(Date.now(), last + apart);
    if (timer && due <= at) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => { timer = null; look(); }, at - Date.now());
  }

  // How soon this page looks again after such a change; null if it is about something else. A busy fleet changes all the
  // time, and the overview shows all of it. The bar counts incidents on every page.
  function wanted(change) {
    const [, page, name] = location.pathname.split("/");
    if (change.everything) return 2000;
    const incidents = change.incidents.length > 0;
    if (page === "stations") return incidents || change.devices.includes(decodeURIComponent(name)) ? 2000 : null;
    if (incidents) return page === "" || page === "incidents" ? 2000 : 10000;
    if (page === "") return change.devices.length ? 10000 : null;
    return page === "deliveries" && change.deliveries ? 2000 : null;
  }

  function hear(well) {
    const away = !heard;
    heard = well; beat = Date.now();
    show();
    // What was missed meanwhile; the first time there is nothing yet to be missed.
    if (well && (!looked || (away && Date.now() - since > 5000))) soon();
  }

  let events = null;
  function listen() {
    if (events) events.close();
    events = new EventSource("/live");
    events.addEventListener("beat", (event) => hear(JSON.parse(event.data).heard));
    events.addEventListener("change", (event) => {
      hear(true);
      const apart = wanted(JSON.parse(event.data));
      if (apart !== null) soon(apart);
    });
    events.onerror = () => {
      heard = false;
      show();
      // The browser tries again by itself, but not after an answer that was no stream, such as that of a proxy. The session
      // may be over, which a look finds out.
      if (events.readyState === EventSource.CLOSED) { setTimeout(listen, 5000); soon(20000); }
    };
  }

  localise(document);
  setInterval(() => localise(document), 30000);
  if (connection && window.EventSource) {
    listen();
    // A page that somebody left is kept for the way back, and would keep its connection, of which a browser has six.
    window.addEventListener("pagehide", () => events.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) { listen(); soon(); } });
    setInterval(() => { if (heard && Date.now() - beat > 40000) { heard = false; show(); } }, 5000);
    // Changes are hints, which may be missed.
    setInterval(() => { if (Date.now() - last >= 60000) soon(); }, 5000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  }

  // A menu that is open closes when somebody goes on elsewhere.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.me[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
})();
