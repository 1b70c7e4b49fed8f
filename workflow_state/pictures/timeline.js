// The table of a report: its rows are made when they come into sight, so 2,000 are as quick as ten.
const wanted = { looks: new Set(), critical: false, text: "", sort: "start" };
let shown = [];
let active = -1;

const orders = {
  start: (a, b) => (actions[a].from ?? Infinity) - (actions[b].from ?? Infinity) || a - b,
  time: (a, b) => took(actions[b]) - took(actions[a]) || a - b,
  plan: (a, b) => a - b,
};

function choose() {
  const text = wanted.text.trim().toLowerCase();
  shown = actions.map((_, n) => n).filter((n) => {
    const action = actions[n];
    return (!wanted.looks.size || wanted.looks.has(action.look)) && (!wanted.critical || critical.has(action.id))
      && (!text || action.id.toLowerCase().includes(text) || (action.def ?? "").toLowerCase().includes(text));
  }).sort(orders[wanted.sort]);
  active = -1;
  const list = byId("list");
  list.scrollTop = 0;
  list.style.height = `${Math.min(Math.max(shown.length, 1), MOST_ROWS) * ROW + 4}px`;
  byId("rows").style.height = `${shown.length * ROW}px`;
  const few = shown.length === actions.length ? "" : `${shown.length.toLocaleString("en")} of `;
  byId("count").textContent = `${few}${actions.length.toLocaleString("en")} actions`;
  draw();
}

function bar(from, to, className, title) {
  const made = element("i", `b ${className}`);
  made.style.left = `${(100 * from) / (span || 1)}%`;
  made.style.width = `${(100 * Math.max(0, to - from)) / (span || 1)}%`;
  made.title = title;
  return made;
}

const TRY_LOOKS = { completed: "completed", failed: "failed", lost: "failed", running: "running" };

function lane(action) {
  const made = element("div", "lane");
  if (action.asked) {
    const { from, to, answer } = action.asked;
    made.append(bar(from, to, "ws-waiting", `a person was asked: ${answer}, ${time(to - from)}`));
  }
  let last = null;
  for (const [n, one] of (action.tries ?? []).entries()) {
    if (last !== null && one.from > last) made.append(bar(last, one.from, "wait", `waited ${time(one.from - last)}`));
    const to = one.to ?? one.from;
    const words = `attempt ${n + 1} ${one.outcome}, ${time(to - one.from)}${one.error ? `: ${one.error}` : ""}`;
    made.append(bar(one.from, to, `ws-${TRY_LOOKS[one.outcome]}`, words));
    last = to;
  }
  if (last !== null && action.look === "running" && last < action.to) made.append(bar(last, action.to, "wait", "waits"));
  if (!made.childElementCount) made.append(element("span", "note", blockedBy(action) || action.reason || ""));
  return made;
}

function row(number) {
  const action = actions[shown[number]];
  const classes = ["row", `ws-${action.look}`, critical.has(action.id) ? "critical" : "", number === active ? "active" : ""];
  const made = element("div", classes.join(" "));
  made.id = `row-${number}`;
  made.setAttribute("role", "option");
  made.setAttribute("aria-selected", String(number === active));
  made.setAttribute("aria-setsize", shown.length);
  made.setAttribute("aria-posinset", number + 1);
  made.setAttribute("aria-label", `${action.id}, ${action.look}`);
  made.style.transform = `translateY(${number * ROW}px)`;
  const name = element("div", "name"), label = element("span", "", brief(action.id));
  label.title = action.def ? `${action.id}\n${action.def}` : action.id;
  name.append(symbol(action.look), label);
  const length = took(action);
  made.append(name, element("div", "num", action.attempts ? String(action.attempts) : ""),
    element("div", "num", length < 0 ? "" : time(length)), lane(action));
  made.addEventListener("click", () => { point(number); open(shown[number]); });
  return made;
}

function draw() {
  const list = byId("list"), rows = byId("rows");
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / ROW) + 10);
  rows.replaceChildren();
  for (let number = first; number < last; number += 1) rows.append(row(number));
  if (!shown.length) rows.append(element("p", "none", "No action is like that."));
  overview();
}

// Every row that ran at once, a line each: where a run was busy, where it waited, where it broke.
function overview() {
  const canvas = byId("overview"), list = byId("list");
  const ran = shown.filter((n) => actions[n].tries);
  canvas.hidden = ran.length <= MOST_ROWS || ran[0] !== shown[0];
  if (canvas.hidden) return;
  const wide = (canvas.width = canvas.clientWidth), high = (canvas.height = canvas.clientHeight);
  const paint = canvas.getContext("2d"), line = high / ran.length, scale = wide / (span || 1);
  const style = getComputedStyle(document.documentElement);
  const colours = new Map([...Object.values(TRY_LOOKS), "accent"].map((name) => [name, style.getPropertyValue(`--ws-${name}`)]));
  const mark = (one, row, thick) => {
    paint.fillStyle = colours.get(TRY_LOOKS[one.outcome]);
    paint.fillRect(scale * one.from, row * line, Math.max(scale * ((one.to ?? one.from) - one.from), thick), Math.max(line, thick));
  };
  for (const [row, n] of ran.entries()) for (const one of actions[n].tries) mark(one, row, 1);
  for (const [row, n] of ran.entries()) if (actions[n].look === "failed") for (const one of actions[n].tries) mark(one, row, 4);
  paint.strokeStyle = colours.get("accent");
  paint.lineWidth = 1.5;
  paint.strokeRect(1, (list.scrollTop / ROW) * line, wide - 2, Math.max((list.clientHeight / ROW) * line, 4));
}

function point(number) {
  active = Math.min(Math.max(number, 0), shown.length - 1);
  const list = byId("list");
  if (active * ROW < list.scrollTop) list.scrollTop = active * ROW;
  if ((active + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (active + 1) * ROW - list.clientHeight;
  draw();
  list.setAttribute("aria-activedescendant", `row-${active}`);
}

function ticks() {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5,
    72e5, 144e5, 432e5, 864e5, 1728e5, 6048e5];
  const step = steps.find((one) => span / one <= 8) ?? span / 8;
  for (let at = 0; at <= span * 0.96; at += step || 1) {
    const made = element("span", "", at ? time(at).replace(/\.0+ /, " ").replace(/ 00 (s|min|h)$/, "") : "0");
    made.style.left = `${(100 * at) / (span || 1)}%`;
    byId("ticks").append(made);
    if (!step) break;
  }
  byId("list").style.setProperty("--step", `${(100 * step) / (span || 1)}%`);
}
