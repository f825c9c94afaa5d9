"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const root = document.documentElement;
  const say = (text) => { one("said").textContent = text; };
  root.classList.add("live");

  // Light and dark: the system decides until somebody presses the button.
  const theme = one("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (value) => {
    try {
      if (value) localStorage.setItem("certificate-theme", value);
      return localStorage.getItem("certificate-theme");
    } catch { return null; }
  };
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  const stored = remembered();
  if (stored === "dark" || stored === "light") root.dataset.theme = stored;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remembered(root.dataset.theme);
    showTheme();
  });
  system.addEventListener("change", showTheme);
  showTheme();

  // Filters. Their state is the fragment (#verdict=failed,unknown&component=C2&q=rate), so that a link carries it.
  const form = one("filters");
  const rows = all("tr.claim");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const boxes = all("input[name=verdict]", form);
  const { component, q } = form.elements;
  form.hidden = false;

  const apply = () => {
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = (!wanted.size || wanted.has(row.dataset.standing))
        && (!component.value || row.dataset.component === component.value)
        && words.every((word) => texts.get(row).includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    for (const section of all("section.component")) section.hidden = !section.querySelector("tr.claim:not([hidden])");
    const none = shown ? "" : " Clear the filter to see them all.";
    one("shown").textContent = `${shown} of ${rows.length} claims shown.${none}`;
  };
  const fragment = () => {
    const parts = [];
    const wanted = boxes.filter((box) => box.checked).map((box) => box.value);
    if (wanted.length) parts.push(`verdict=${wanted.join(",")}`);
    if (component.value) parts.push(`component=${encodeURIComponent(component.value)}`);
    if (q.value.trim()) parts.push(`q=${encodeURIComponent(q.value.trim())}`);
    return parts.length ? `#${parts.join("&")}` : "#claims";
  };
  const changed = () => { apply(); history.replaceState(null, "", fragment()); };
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));

  const fromFragment = (text) => {
    const state = new URLSearchParams(text);
    const wanted = new Set((state.get("verdict") || "").split(","));
    for (const box of boxes) box.checked = wanted.has(box.value);
    component.value = state.get("component") || "";
    if (component.selectedIndex < 0) component.value = "";
    q.value = state.get("q") || "";
    apply();
  };

  // A link into the page opens what it points into, and shows a claim that a filter hides.
  const reveal = (id) => {
    const target = one(id);
    if (!target) return;
    if (target.closest("[hidden]")) { form.reset(); apply(); }
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
    const heading = target.tagName === "DETAILS" ? target.querySelector("summary") : target;
    if (heading.tabIndex < 0 && !heading.hasAttribute("tabindex")) heading.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  };
  const follow = () => {
    const text = location.hash.slice(1);
    if (/^(verdict|component|q)=/.test(text)) {
      fromFragment(text);
      one("claims").scrollIntoView();
    } else if (text) {
      try { reveal(decodeURIComponent(text)); } catch { /* a fragment that is no text points nowhere */ }
    }
  };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) setTimeout(follow);
  });
  apply();
  follow();

  // Folding.
  const folds = () => all("#timelines > details");
  one("folding").hidden = false;
  for (const button of all("#folding button")) {
    button.addEventListener("click", () => {
      const open = button.dataset.open === "1";
      for (const fold of folds()) fold.open = open;
      say(open ? "All timelines are open." : "All timelines are closed.");
    });
  }

  // Copying; where the clipboard is closed to pages, the text is selected for the reader's own keys.
  for (const button of all("button.copy")) {
    const code = button.parentElement.querySelector("code");
    button.hidden = false;
    button.setAttribute("aria-label", `Copy: ${code.textContent}`);
    button.addEventListener("click", async () => {
      let said = "Copied";
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        getSelection().selectAllChildren(code);
        said = document.execCommand("copy") ? "Copied" : "Selected";
      }
      button.textContent = said;
      say(`${said}: ${code.textContent}`);
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // Paper folds nothing.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const fold of closed) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; closed = []; });
})();
