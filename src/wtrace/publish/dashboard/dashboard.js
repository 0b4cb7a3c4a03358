"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const now = () => Date.now() / 1000;

  // ---- what is remembered over a reload: by this tab for this file, or for all such pages (the colours)
  const KEY = `wtrace.page.${location.pathname}`;
  const kept = (() => {
    try {
      return JSON.parse(sessionStorage.getItem(KEY)) || {};
    } catch {
      return {};
    }
  })();
  const keep = (changes) => {
    Object.assign(kept, changes);
    try {
      sessionStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // Without storage the page works, and forgets.
    }
  };

  // ---- how old the page is
  const words = (s) => {
    if (s < 90) return `${Math.round(s)} s`;
    const minutes = Math.round(s / 60);
    if (minutes < 90) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
    return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  };
  const clock = (s) => {
    const two = (n) => String(Math.floor(n)).padStart(2, "0");
    return `${Math.floor(s / 3600)}:${two((s / 60) % 60)}:${two(s % 60)}`;
  };
  const ageText = (age) => (age < -5 ? `${words(-age)} ahead of this machine's clock` : age < 1 ? "just now" : `${words(age)} ago`);
  const isStale = () => data.live && now() - data.at > 3 * data.every;
  const tell = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const tick = () => {
    const age = now() - data.at;
    const stale = isStale();
    if (data.live) tell(byId("age"), ageText(age));
    byId("fresh").classList.toggle("warn", stale);
    const missed = `! Old data: a new page was due every ${words(data.every)}, and this one is older than three times that. ` +
      "The race or the copying to this machine may have stopped.";
    tell(byId("stale"), stale ? missed : "");
    if (data.live && !stale && age >= 0) tell(byId("elapsed"), clock(now() - data.started));
  };

  // ---- reloading: the whole page, since a file from disk may not fetch; never while somebody is at it
  const RELOAD_S = 5;
  const SLOWEST_S = 60;
  const unchanged = kept.at === data.at ? (kept.unchanged || 0) + 1 : 0;
  const everyS = Math.min(SLOWEST_S, RELOAD_S * 2 ** Math.max(0, unchanged - 3));
  const awaited = () => data.until === null || now() < data.until;
  const loaded = performance.now();
  let touched = -Infinity;
  let paused = kept.paused === true;
  for (const kind of ["pointermove", "pointerdown", "keydown", "wheel", "touchmove"]) {
    addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
  }
  const isBusy = () => {
    const selection = getSelection();
    const still = performance.now() - touched;
    return still < 2000 || (selection && !selection.isCollapsed) || (document.querySelector(".tip:not([hidden])") && still < 30000);
  };
  const maybeReload = (after) => {
    if (!awaited() || paused || document.hidden || isBusy()) return;
    if ((performance.now() - loaded) / 1000 < after) return;
    const events = document.querySelector(".events");
    keep({
      at: data.at,
      unchanged,
      scroll: [scrollX, scrollY],
      events: events ? events.scrollTop : 0,
      focus: document.activeElement ? document.activeElement.id : "",
    });
    location.reload();
  };
  const restore = () => {
    if (!kept.scroll) return;
    history.scrollRestoration = "manual";
    scrollTo(kept.scroll[0], kept.scroll[1]);
    const events = document.querySelector(".events");
    if (events) events.scrollTop = kept.events;
    const focused = kept.focus && byId(kept.focus);
    if (focused) focused.focus({ preventScroll: true });
    keep({ scroll: null });
  };
  const pause = byId("pause");
  const showPause = () => {
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Updates paused" : "Pause updates";
  };
  pause.hidden = !awaited();
  pause.addEventListener("click", () => {
    paused = !paused;
    keep({ paused });
    showPause();
  });

  // ---- colours
  const THEMES = { auto: ["◐ auto", "as the system"], light: ["☀ light", "light"], dark: ["☾ dark", "dark"] };
  const theme = byId("theme");
  const showTheme = () => {
    const [text, said] = THEMES[root.dataset.theme || "auto"];
    theme.textContent = text;
    theme.setAttribute("aria-label", `Colours: ${said}`);
  };
  theme.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(root.dataset.theme || "auto") + 1) % names.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("wtrace.theme", next);
    } catch {
      // It counts until the page is left.
    }
    showTheme();
  });

  // ---- some workers' curves picked out
  const picked = new Set(kept.picked || []);
  const picks = [...document.querySelectorAll(".pick")];
  const dim = (chosen) => {
    for (const part of document.querySelectorAll(".charts [data-w]")) {
      part.classList.toggle("off", chosen.size > 0 && !chosen.has(part.dataset.w));
    }
  };
  const showPicks = () => {
    for (const button of picks) button.setAttribute("aria-pressed", String(picked.has(button.dataset.w)));
    dim(picked);
  };
  for (const button of picks) {
    const worker = button.dataset.w;
    button.id = `pick-${worker}`;
    button.addEventListener("click", () => {
      if (!picked.delete(worker)) picked.add(worker);
      keep({ picked: [...picked] });
      showPicks();
    });
    button.addEventListener("pointerenter", () => dim(new Set([worker])));
    button.addEventListener("pointerleave", showPicks);
  }

  // ---- the values under the pointer, or by the arrow keys
  const number = (v) => {
    if (v === null || v === undefined) return "—";
    const size = Math.abs(v);
    let digits;
    if (Number.isInteger(v) && size < 1e6) digits = String(size);
    else if (size < 1e-3) digits = size.toExponential(2);
    else digits = String(Number(size.toPrecision(4)));
    return (v < 0 ? data.minus : "") + digits;
  };
  const place = (chart, v) => {
    const scaled = (x) => (chart.log ? Math.log10(Math.max(x, 1e-300)) : x);
    const share = (scaled(v) - scaled(chart.low)) / (scaled(chart.high) - scaled(chart.low));
    return 1 - Math.min(1, Math.max(0, share));
  };
  const element = (name, className, text) => {
    const made = document.createElement(name);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const hue = (w) => `c${((w - 1) % data.colours) + 1} d${Math.floor((w - 1) / data.colours) % 3}`;
  const MOST_TOLD = 10;

  // Thinned curves do not all have a check at the epoch pointed at: then the nearest one counts, if it is near.
  const nearestIn = (epochs, epoch) => {
    let best = 0;
    epochs.forEach((each, i) => { if (Math.abs(each - epoch) < Math.abs(epochs[best] - epoch)) best = i; });
    return best;
  };
  const values = (chart, epoch) => {
    const found = [];
    for (const line of chart.lines) {
      if (picked.size > 0 && !picked.has(String(line.w))) continue;
      const i = nearestIn(line.e, epoch);
      if (Math.abs(line.e[i] - epoch) > chart.last / 50) continue;
      found.push({ w: line.w, e: line.e[i], v: line.v[i], met: line.m[i] === "1" });
    }
    const key = (row) => (row.v === null ? Infinity : chart.above ? -row.v : row.v);
    return found.sort((a, b) => key(a) - key(b));
  };

  const explorable = (figure) => {
    const chart = data.charts.find((each) => String(each.number) === figure.dataset.chart);
    const epochs = chart ? [...new Set(chart.lines.flatMap((line) => line.e))].sort((a, b) => a - b) : [];
    if (!epochs.length) return;
    const area = figure.querySelector(".area");
    const handle = element("div", "handle");
    const rule = element("div", "rule");
    const tip = element("div", "tip");
    const marks = element("div", "marks");
    const reveal = (shown) => { rule.hidden = tip.hidden = marks.hidden = !shown; };
    reveal(false);
    handle.id = `chart-${chart.number}`;
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", `${chart.name} at epoch`);
    handle.setAttribute("aria-valuemin", epochs[0]);
    handle.setAttribute("aria-valuemax", epochs[epochs.length - 1]);
    handle.setAttribute("aria-valuenow", epochs[epochs.length - 1]);
    area.append(rule, marks, handle, tip);
    let at = epochs.length - 1;

    const show = (index) => {
      at = Math.min(epochs.length - 1, Math.max(0, index));
      const epoch = epochs[at];
      const rows = values(chart, epoch);
      const share = epoch / chart.last;
      rule.style.left = `${100 * share}%`;
      tip.replaceChildren(element("strong", "", `epoch ${epoch}`));
      for (const row of rows.slice(0, MOST_TOLD)) {
        const told = element("div", "told");
        const name = element("bdi", "title", data.workers[row.w - 1]);
        const value = element("span", row.met ? "met digits" : "unmet digits", `${row.met ? "✓" : "✗"} ${number(row.v)}`);
        told.append(element("span", `badge ${hue(row.w)}`, String(row.w)), name);
        if (row.e !== epoch) told.append(element("span", "dim", `at ${row.e}`));
        told.append(value);
        tip.append(told);
      }
      if (rows.length > MOST_TOLD) tip.append(element("div", "dim", `and ${rows.length - MOST_TOLD} more`));
      marks.replaceChildren(...rows.filter((row) => row.v !== null).map((row) => {
        const mark = element("span", `mark ${hue(row.w)}`);
        mark.style.left = `${(100 * row.e) / chart.last}%`;
        mark.style.top = `${100 * place(chart, row.v)}%`;
        return mark;
      }));
      reveal(true);
      const x = share * area.clientWidth;
      const left = share < 0.5 ? x + 12 : x - 12 - tip.offsetWidth;
      tip.style.left = `${Math.max(-44, Math.min(left, area.clientWidth + 24 - tip.offsetWidth))}px`;
      handle.setAttribute("aria-valuenow", epoch);
      const said = rows.map((row) => `${data.workers[row.w - 1]} ${number(row.v)} ${row.met ? "met" : "not met"}`);
      handle.setAttribute("aria-valuetext", `epoch ${epoch}: ${said.join(", ")}`);
    };
    const hide = () => reveal(false);
    const nearest = (event) => {
      const box = area.getBoundingClientRect();
      const epoch = ((event.clientX - box.left) / box.width) * chart.last;
      return nearestIn(epochs, epoch);
    };
    handle.addEventListener("pointermove", (event) => show(nearest(event)));
    handle.addEventListener("pointerdown", (event) => show(nearest(event)));
    handle.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    handle.addEventListener("blur", hide);
    handle.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
      if (event.key === "Escape") hide();
      else if (event.key in steps) {
        event.preventDefault();
        show(tip.hidden && Math.abs(steps[event.key]) === 1 ? at : at + steps[event.key]);
      }
    });
  };

  // ---- begin
  for (const part of document.querySelectorAll(".controls, .legend")) part.hidden = false;
  showPause();
  showTheme();
  showPicks();
  document.querySelectorAll(".chart:not(.constant)").forEach(explorable);
  restore();
  tick();
  setInterval(() => {
    if (document.hidden) return;
    tick();
    maybeReload(everyS);
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    tick();
    maybeReload(RELOAD_S);
  });
})();
