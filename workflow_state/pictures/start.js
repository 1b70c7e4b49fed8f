// What people do: filter, search, keys, clicks.
function show(n) {
  const number = shown.indexOf(n);
  if (number >= 0) point(number);
  open(n);
}

function filter(change) {
  change();
  for (const chip of all(".chip")) chip.setAttribute("aria-pressed",
    String(chip.dataset.look ? wanted.looks.has(chip.dataset.look) : wanted.critical));
  choose();
}

function startFilters() {
  for (const chip of all(".chip")) {
    const { look } = chip.dataset;
    chip.addEventListener("click", () => filter(() => {
      if (!look) wanted.critical = !wanted.critical;
      else if (!wanted.looks.delete(look)) wanted.looks.add(look);
    }));
  }
  for (const button of all("[data-only]")) button.addEventListener("click", () => {
    filter(() => { wanted.looks = new Set([button.dataset.only]); });
    byId("list").scrollIntoView({ block: "center" });
  });
  byId("search").addEventListener("input", (event) => { wanted.text = event.target.value; choose(); });
  byId("sort").addEventListener("change", (event) => { wanted.sort = event.target.value; choose(); });
}

function startKeys() {
  const list = byId("list"), page = MOST_ROWS - 2;
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  list.addEventListener("keydown", (event) => {
    if (event.key in steps) point(active + steps[event.key]);
    else if (event.key === "Enter" && active >= 0) open(shown[active]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("scroll", () => requestAnimationFrame(draw));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
      byId("search").focus();
      event.preventDefault();
    }
  });
  document.addEventListener("focusin", (event) => { if (!byId("panel").contains(event.target)) before = event.target; });
  document.addEventListener("click", (event) => {
    const id = event.target.closest("[data-open]")?.dataset.open;
    if (id !== undefined) show(place.get(id));
  });
  byId("close").addEventListener("click", close);
  byId("overview").addEventListener("click", (event) => {
    const ran = shown.filter((n) => actions[n].tries).length;
    list.scrollTop = (event.offsetY / event.target.clientHeight) * ran * ROW - list.clientHeight / 2;
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", overview);
  window.addEventListener("resize", draw);
}

startFilters();
startKeys();
ticks();
choose();
if (graph) startGraph();
