"use strict";
// Before the first paint, so that a reload does not flash in the other colours.
document.documentElement.classList.add("scripted");
try {
  const theme = localStorage.getItem("wtrace.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be refused; then the system's colours count.
}
