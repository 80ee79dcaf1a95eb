// The try-out: asks for the result while somebody types, and does what plain forms cannot (copy, show a place, put an event in).
"use strict";

(function () {
  const copied = (button) => { const text = button.textContent; button.textContent = "Copied"; setTimeout(() => { button.textContent = text; }, 1500); };
  async function copy(button) {
    const from = document.getElementById(button.dataset.copy);
    try { await navigator.clipboard.writeText(from.textContent); } catch {
      // Without TLS there is no clipboard; the old way asks for a selection.
      const range = document.createRange();
      range.selectNodeContents(from);
      const selection = getSelection();
      selection.removeAllRanges(); selection.addRange(range);
      if (!document.execCommand("copy")) return;
    }
    copied(button);
  }
  const reveal = (root) => { for (const one of root.querySelectorAll("[data-copy][hidden], [data-position][hidden], [data-script][hidden]")) one.hidden = false; };
  reveal(document);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.copy) copy(button);
    if (button.dataset.position) {
      const field = document.getElementById(button.dataset.field);
      // The service counts characters, the browser halves of some.
      const end = [...field.value].slice(0, Number(button.dataset.position)).join("").length;
      field.focus();
      field.setSelectionRange(Math.max(0, end - 1), end);
    }
  });

  const form = document.getElementById("try");
  if (!form) return;
  const result = document.getElementById("result"), event = document.getElementById("event"), undo = document.getElementById("undo");
  let asking = null, timer = null;

  function show(html) {
    const open = new Map([...result.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    result.innerHTML = html;
    for (const [id, was] of open) { const one = document.getElementById(id); if (one) one.open = was; }
    reveal(result);
    const told = result.querySelector(".notice b, .notice.error");
    document.getElementById("told").textContent = told ? told.textContent : "";
    window.thermalWatch.localise(result);
  }
  function fail(text) {
    const told = document.createElement("p");
    told.className = "notice error"; told.textContent = text;
    result.prepend(told);
  }
  async function ask() {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    result.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "x-part": "result", "x-csrf-token": window.thermalWatch.csrf() }, signal: mine.signal });
      if (answer.ok) show(await answer.text());
      else if (answer.status === 401) location.reload();
      else fail(answer.status === 413 ? "That is too large to be tried." : "Nothing was tried (" + answer.status + ").");
    } catch (error) {
      if (error.name !== "AbortError") fail("The service cannot be reached; what you typed is still here.");
    }
    if (asking === mine) { asking = null; result.removeAttribute("aria-busy"); }
  }
  const soon = () => { clearTimeout(timer); timer = setTimeout(ask, 350); };

  const changed = () => { undo.hidden = ![...form.querySelectorAll("textarea")].some((field) => field.id !== "event" && field.value !== field.defaultValue); };
  form.addEventListener("input", (input) => { if (input.target.matches("textarea")) { changed(); soon(); } });
  document.getElementById("device").addEventListener("keydown", (key) => { if (key.key === "Enter" && !key.ctrlKey && !key.metaKey) { key.preventDefault(); form.requestSubmit(document.getElementById("search")); } });
  form.addEventListener("keydown", (key) => { if (key.key === "Enter" && (key.ctrlKey || key.metaKey)) { key.preventDefault(); ask(); } });
  undo.addEventListener("click", () => {
    for (const field of form.querySelectorAll("textarea")) if (field.id !== "event") field.value = field.defaultValue;
    changed(); ask();
    document.getElementById("expression").focus();
  });
  form.addEventListener("submit", async (submit) => {
    const button = submit.submitter;
    if (button && button.name === "uid") {
      submit.preventDefault();
      const answer = await fetch("/api/v1/events/" + encodeURIComponent(button.value));
      if (!answer.ok) { fail("That event cannot be read any more."); return; }
      event.value = JSON.stringify((await answer.json()).raw, null, 2);
      for (const other of form.querySelectorAll("button[name=uid]")) other.setAttribute("aria-pressed", String(other === button));
      await ask();
      (matchMedia("(min-width: 56rem)").matches ? form : result).scrollIntoView({ block: "start" });
    } else if (button && button.classList.contains("main")) {
      submit.preventDefault();
      await ask();
      result.scrollIntoView({ block: "nearest" });
    }
  });
})();
