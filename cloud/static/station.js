// The page of a station: charts to zoom, and a way through its pictures. Without it the page is whole, with plain charts.
"use strict";

// Once all scripts are there, also the one that draws.
addEventListener("DOMContentLoaded", function () {
  const range = () => document.getElementById("range");
  if (!range()) return;
  for (const part of document.querySelectorAll(".only-script")) part.hidden = false;
  const watch = window.thermalWatch, device = location.pathname.split("/")[2];
  const stamp = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const zoneName = (at) => (new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(at).find((part) => part.type === "timeZoneName") || {}).value || "";
  const told = (seconds) => stamp.format(new Date(seconds * 1000)) + " " + zoneName(new Date(seconds * 1000));
  const iso = (seconds) => new Date(Math.round(seconds) * 1000).toISOString().replace(".000Z", "Z");

  // ---- Charts ----
  // Of these the highest of a step is what counts, of the others the mean.
  const peaks = new Set(["anomaly", "max"]);
  const hidden = new Set();
  const charts = [];
  let shown = ends(), asked = 0, loaded = 0, data = null, pinched = null;
  const home = location.search;

  function ends() { const { from, to, name } = range().dataset; return { from: +from, to: +to, name }; }

  function colour(element, property) { return getComputedStyle(element)[property]; }
  function faint(colour, strength) { const parts = colour.match(/[\d.]+/g) || [0, 0, 0]; return "rgba(" + parts.slice(0, 3).join(",") + "," + strength + ")"; }

  function Chart(figure) {
    const names = figure.dataset.names.split(","), plot = figure.querySelector(".plot");
    const legend = figure.querySelector(".legend"), readings = new Map();
    const line = document.createElement("p");
    line.className = "at-cursor";
    figure.querySelector("figcaption").append(line);
    [...legend.children].forEach((item, index) => {
      const button = document.createElement("button"), reading = document.createElement("span"), name = names[index];
      button.type = "button";
      reading.className = "reading";
      button.append(...item.childNodes, reading);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        button.setAttribute("aria-pressed", String(!hidden.has(name)));
        draw();
      });
      item.replaceChildren(button);
      readings.set(name, reading);
    });
    let chart = null;

    function tables(lines) {
      return lines.map((one) => one.low ? [one.at, one.mean, one.low, one.high] : [one.at, one.mean, one.mean, one.mean]);
    }

    function draw() {
      if (!data) return;
      const lines = data.series.filter((one) => names.includes(one.name));
      const ink = colour(figure, "color"), quiet = colour(line, "color"), rule = colour(figure, "borderTopColor");
      // A null in a table is a gap; where a series merely has no point it goes on.
      const joined = lines.some((one) => one.at.length) ? uPlot.join(tables(lines), lines.map(() => [1, 2, 2, 2])) : [[], ...lines.flatMap(() => [[], [], []])];
      const series = [{}], bands = [];
      lines.forEach((one, index) => {
        const swatch = legend.querySelectorAll(".swatch")[names.indexOf(one.name)], stroke = colour(swatch, "backgroundColor");
        const strong = peaks.has(one.name), show = !hidden.has(one.name), first = 1 + index * 3;
        const alone = { show: true, size: 4, fill: stroke, filter: isolated };
        series.push({ label: one.name, stroke, width: strong ? 0 : 1.3, show, points: strong ? { show: false } : alone });
        series.push({ stroke, width: 0, show, points: { show: false } });
        series.push({ stroke, width: strong ? 2 : 0, show, points: strong ? alone : { show: false } });
        if (one.low) bands.push({ series: [first + 2, first + 1], fill: faint(stroke, strong ? .2 : .08) });
      });
      const size = { width: plot.clientWidth, height: plot.clientHeight };
      const axis = { stroke: quiet, grid: { stroke: rule, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
      const fixed = figure.id === "scores";
      const limits = data.limits.filter((limit) => names.includes(limit.series) && !hidden.has(limit.series));
      const options = {
        ...size, series, bands, legend: { show: false }, padding: [8, 8, 0, 0],
        cursor: { sync: { key: "station", setSeries: false, scales: ["x", null], filters: { pub: (kind) => kind === "mousemove" || kind === "mouseleave" } }, drag: { x: true, y: false, setScale: false, dist: 6 }, points: { show: false }, bind: { dblclick: () => () => out() } },
        scales: {
          x: { time: true, min: shown.from, max: shown.to, auto: false, range: () => pinched || [shown.from, shown.to] },
          y: { range: (u, low, high) => fixed ? [0, Math.max(1, high ?? 1)] : reach(low, high, limits) },
        },
        axes: [{ ...axis, space: 70, size: 38, values: dates }, { ...axis, size: 42 }],
        hooks: { draw: [(u) => fences(u, limits, ink)], setCursor: [(u) => read(u, lines)], setSelect: [(u) => selected(u)], ready: [(u) => { touch(u); incidents(u); read(u, lines); }] },
      };
      const again = chart;
      chart = new uPlot(options, joined, plot);
      if (again) again.destroy(); else plot.querySelectorAll(":scope > svg, :scope > span").forEach((one) => one.remove());
      // Not an image: the incidents in it are links.
      chart.root.setAttribute("role", "group");
      chart.root.setAttribute("aria-label", figure.querySelector("h3").textContent + " from " + told(shown.from) + " to " + told(shown.to) + "; the numbers are in the table below");
    }

    function incidents(u) {
      const width = u.over.clientWidth, span = shown.to - shown.from;
      for (const one of data.incidents) {
        const left = Math.max(0, (Date.parse(one.opened_at) / 1000 - shown.from) / span * width);
        const right = one.resolved_at ? Math.min(width, (Date.parse(one.resolved_at) / 1000 - shown.from) / span * width) : Math.min(width, (Date.now() / 1000 - shown.from) / span * width);
        if (right < 0 || left > width) continue;
        const band = document.createElement("div"), link = document.createElement("a");
        band.className = right - left < 4 ? "incident short" : "incident";
        band.style.left = left + "px";
        band.style.width = Math.max(2, right - left) + "px";
        link.href = "/incidents/" + one.id;
        link.textContent = "#" + one.id;
        link.setAttribute("aria-label", "Incident " + one.id + " of rule " + one.rule);
        if (left > width - 40) link.style.transform = "translateX(-100%)";
        // With many of them numbers would lie upon each other; the list below has them.
        if (data.incidents.length <= 12 && figure.id === "scores") band.append(link);
        u.over.append(band);
      }
    }

    function fences(u, limits, ink) {
      const { ctx } = u, ratio = devicePixelRatio || 1;
      for (const limit of limits) {
        for (const [value, name] of [[limit.fire, limit.rule + " fires " + limit.side + " " + limit.fire], [limit.clear, ""]]) {
          if (!name && limit.clear === limit.fire) continue;
          const y = Math.round(u.valToPos(value, "y", true)), { left, width, top, height } = u.bbox;
          if (y < top || y > top + height) continue;
          ctx.save();
          ctx.strokeStyle = ink; ctx.globalAlpha = name ? .75 : .4; ctx.lineWidth = ratio; ctx.setLineDash([5 * ratio, 4 * ratio]);
          ctx.beginPath(); ctx.moveTo(left, y); ctx.lineTo(left + width, y); ctx.stroke();
          ctx.globalAlpha = .85; ctx.fillStyle = ink; ctx.font = 11 * ratio + "px system-ui, sans-serif"; ctx.textAlign = "left"; ctx.textBaseline = "bottom";
          ctx.fillText(name, left + 5 * ratio, y - 2 * ratio);
          ctx.restore();
        }
      }
    }

    function read(u, lines) {
      const index = u.cursor.idx;
      const at = index == null ? null : u.data[0][index];
      lines.forEach((one, number) => {
        const column = u.data[1 + number * 3 + (peaks.has(one.name) ? 2 : 0)];
        let value = index == null ? null : column[index];
        if (index == null) { const list = (peaks.has(one.name) && one.high) || one.mean; value = list.filter((one) => one !== null).at(-1); }
        const reading = readings.get(one.name);
        if (reading) reading.textContent = value == null ? "–" : value.toFixed(figure.id === "scores" ? 3 : 1);
      });
      const step = data.step_seconds, single = lines.every((one) => !one.low);
      const each = single ? "" : "Each point is " + lasting(step) + ", shaded from lowest to highest; the line of " + names.filter((name) => peaks.has(name)).join() + " is its highest";
      line.textContent = at == null ? each : told(at);
    }

    function selected(u) {
      if (u.select.width < 6) return;
      const from = u.posToVal(u.select.left, "x"), to = u.posToVal(u.select.left + u.select.width, "x");
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      zoom(from, to);
    }

    new ResizeObserver(() => { if (chart && (chart.width !== plot.clientWidth || chart.height !== plot.clientHeight)) draw(); }).observe(plot);
    // What it will be like when the fingers are lifted.
    function preview() {
      for (const one of plot.querySelectorAll(".incident")) one.remove();
      if (chart) chart.setScale("x", { min: pinched[0], max: pinched[1] });
    }
    return { draw, names, preview };
  }

  const hour = new Intl.DateTimeFormat(undefined, { timeStyle: "short" }), day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }), month = new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric" });
  // Below the first time of each day stands the day.
  function dates(u, splits, axis, space, step) {
    let last = "";
    return splits.map((at) => {
      const moment = new Date(at * 1000);
      if (step >= 28 * 86400) return month.format(moment);
      if (step >= 86400) return day.format(moment);
      const told = day.format(moment), line = told === last ? "" : "\n" + told;
      last = told;
      return hour.format(moment) + line;
    });
  }

  function isolated(u, index) {
    const list = u.data[index], alone = [];
    for (let i = 0; i < list.length; i++) if (list[i] != null && (list[i - 1] == null) && (list[i + 1] == null)) alone.push(i);
    return alone;
  }

  function reach(low, high, limits) {
    if (low == null) return [0, 100];
    for (const limit of limits) { low = Math.min(low, limit.fire); high = Math.max(high, limit.fire); }
    const room = Math.max(.5, (high - low) / 10);
    return [Math.floor(low - room), Math.ceil(high + room)];
  }

  function lasting(seconds) {
    for (const [length, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) if (seconds >= length) { const count = Math.round(seconds / length); return count === 1 ? "one " + name : count + " " + name + "s"; }
    return seconds + " seconds";
  }

  // Fingers: one moves the cursor sideways, two zoom, a double tap zooms out.
  function touch(u) {
    let pinch = null, tapped = 0;
    const place = (event, index) => event.touches[index].clientX - u.over.getBoundingClientRect().left;
    const moved = (event) => {
      if (pinch && event.touches.length === 2) {
        event.preventDefault();
        const [a, b] = [place(event, 0), place(event, 1)].sort((a, b) => a - b), width = u.over.clientWidth;
        const scale = (pinch.to - pinch.from) / Math.max(20, b - a);
        pinch.next = [pinch.from - a * scale, pinch.from + (width - a) * scale];
        pinched = pinch.next;
        for (const one of charts) one.preview();
      } else if (event.touches.length === 1) u.setCursor({ left: place(event, 0), top: 10 });
    };
    u.over.addEventListener("touchstart", (event) => {
      if (event.touches.length === 2) {
        const [a, b] = [place(event, 0), place(event, 1)].sort((a, b) => a - b);
        pinch = { from: u.posToVal(a, "x"), to: u.posToVal(b, "x"), next: null };
        event.preventDefault();
      } else {
        const now = Date.now();
        if (now - tapped < 300) { event.preventDefault(); out(); }
        tapped = now;
        moved(event);
      }
    }, { passive: false });
    u.over.addEventListener("touchmove", moved, { passive: false });
    for (const end of ["touchend", "touchcancel"]) u.over.addEventListener(end, () => { const next = pinch && pinch.next; pinch = pinched = null; if (next) zoom(...next); });
  }

  function zoom(from, to) {
    if (to - from < 120) { const middle = (from + to) / 2; from = middle - 60; to = middle + 60; }
    to = Math.min(to, Math.max(Date.now() / 1000, from + 120));
    go("?from=" + iso(from) + "&to=" + iso(to));
  }
  function out() { if (location.search !== home) go(home || location.pathname); }

  function go(address) {
    if (address === location.search) return;
    history.pushState(null, "", address);
    arrived();
  }
  // The parts of the page that speak of the range follow the address, and then the charts.
  function arrived() {
    const query = new URLSearchParams(location.search);
    if (query.has("from") && query.has("to")) { shown = { from: Date.parse(query.get("from")) / 1000, to: Date.parse(query.get("to")) / 1000, name: "" }; load(); }
    watch.look();
  }
  addEventListener("popstate", arrived);
  // Fields of a form know no zone: in them stands the reader's own time, and what is sent is UTC.
  function fields() {
    for (const field of document.querySelectorAll("#custom input[type=datetime-local]")) {
      if (field.dataset.local) continue;
      const at = new Date(field.value + "Z");
      field.defaultValue = field.value = new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
      field.dataset.local = "yes";
    }
    const zone = document.getElementById("custom-zone");
    if (zone) zone.textContent = zoneName(new Date()) || "your time";
  }
  fields();
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "custom-form") return;
    event.preventDefault();
    const [from, to] = ["from", "to"].map((name) => new Date(event.target.elements[name].value).getTime() / 1000);
    for (const field of event.target.querySelectorAll("input")) field.defaultValue = field.value;
    if (from < to) go("?from=" + iso(from) + "&to=" + iso(to));
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#range a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });

  async function load() {
    loaded = Date.now();
    const mine = ++asked, names = charts.flatMap((chart) => chart.names);
    const width = Math.round(Math.min(1000, Math.max(200, document.querySelector(".plot").clientWidth * 1.1)));
    const query = new URLSearchParams({ from: iso(shown.from), to: iso(shown.to), series: names.join(","), points: width });
    let problem = "";
    try {
      const answer = await fetch("/api/v1/devices/" + device + "/series?" + query, { cache: "no-store" });
      if (mine !== asked) return;
      if (answer.ok) data = await answer.json();
      else problem = "The chart could not be read: " + ((await answer.json().catch(() => ({}))).message || answer.status);
    } catch { problem = "The chart could not be read; it is tried again when the connection is back."; }
    if (mine !== asked) return;
    for (const line of document.querySelectorAll(".chart .at-cursor")) { line.classList.toggle("trouble", !!problem); if (problem) line.textContent = problem; }
    if (!problem) for (const chart of charts) chart.draw();
  }

  if (window.uPlot) {
    for (const figure of document.querySelectorAll("figure.chart")) charts.push(Chart(figure));
    if (charts.length) {
      load();
      watch.changed.push(() => {
        const next = ends();
        // What was just read for an address that somebody went to need not be read twice.
        if (Date.now() - loaded < 1500 && next.from === Math.floor(shown.from) && next.to === Math.floor(shown.to)) return;
        shown = next;
        load();
      });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.draw()));
    }
  }

  // ---- Pictures ----
  const picture = document.getElementById("picture"), scrub = document.getElementById("scrub");
  if (!picture || !scrub) return;
  const at = (id) => document.getElementById(id), degrees = (value) => Number(value).toFixed(1) + " °C";
  let list = [], current = null, playing = null, wanted = 0;

  // Oldest first, as a slider goes.
  function pictures() {
    list = [...document.querySelectorAll("#strip a[data-href]")].reverse();
    scrub.max = Math.max(0, list.length - 1);
    const index = list.findIndex((one) => one.dataset.href === current);
    if (index >= 0) mark(index); else if (list.length && current === null) show(Math.max(0, list.findIndex((one) => one.hasAttribute("aria-current"))), true);
    else if (list.length) show(list.length - 1);
  }
  function mark(index) {
    scrub.value = index;
    at("scrub-place").textContent = index + 1 + " of " + list.length;
    scrub.setAttribute("aria-valuetext", index + 1 + " of " + list.length + ", " + at("picture-when").textContent);
    list.forEach((one, place) => { if (place === index) one.setAttribute("aria-current", "true"); else one.removeAttribute("aria-current"); });
  }
  const address = () => current + ".png?scale=12" + (at("scrub-mark").checked ? "" : "&mark=false");

  function show(index, still) {
    const one = list[index];
    if (!one) return;
    current = one.dataset.href;
    const { min, max } = one.dataset, moment = Date.parse(one.dataset.at) / 1000;
    if (!still || !at("scrub-mark").checked) picture.src = address();
    at("picture-when").textContent = told(moment);
    at("picture-min").textContent = at("scale-min").textContent = degrees(min);
    at("picture-max").textContent = at("scale-max").textContent = degrees(max);
    picture.alt = "Thermal picture of " + told(moment) + ", " + degrees(min) + " to " + degrees(max);
    mark(index);
    facts(current);
  }

  // Where it is hottest and what was suspicious, once somebody looks at it for a moment.
  async function facts(href) {
    const mine = ++wanted;
    for (const more of document.querySelectorAll("#picture-facts .more")) more.remove();
    await new Promise((done) => setTimeout(done, 150));
    if (mine !== wanted || playing) return;
    const answer = await fetch(href).catch(() => null);
    if (mine !== wanted || !answer || !answer.ok) return;
    const frame = await answer.json();
    const add = (name, spot) => {
      if (!spot) return;
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.className = value.className = "more";
      term.textContent = name;
      value.textContent = degrees(spot.celsius) + ", column " + spot.x + ", row " + spot.y;
      at("picture-facts").append(term, value);
    };
    add("Suspicious place", frame.suspect);
    add("Hottest place", frame.hottest);
    const spot = frame.suspect || frame.hottest;
    picture.alt += spot ? ", " + (frame.suspect ? "suspicious" : "hottest") + " at column " + spot.x + ", row " + spot.y : "";
  }

  function stop() { clearInterval(playing); playing = null; at("scrub-play").textContent = "Play"; at("scrub-play").setAttribute("aria-pressed", "false"); if (current) facts(current); }
  function step(by) { const next = +scrub.value + by; if (next >= 0 && next < list.length) show(next); else stop(); }

  scrub.addEventListener("input", () => show(+scrub.value));
  at("scrub-before").addEventListener("click", () => step(-1));
  at("scrub-next").addEventListener("click", () => step(1));
  at("scrub-mark").addEventListener("change", () => { picture.src = address(); });
  at("scrub-play").addEventListener("click", () => {
    if (playing) { stop(); return; }
    if (+scrub.value >= list.length - 1) show(0);
    playing = setInterval(() => step(1), 600);
    at("scrub-play").textContent = "Stop";
    at("scrub-play").setAttribute("aria-pressed", "true");
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#strip a[data-href]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    stop();
    show(list.indexOf(link));
  });
  watch.changed.push(pictures, fields);
  pictures();
});
