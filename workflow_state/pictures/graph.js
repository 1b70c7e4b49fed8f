// The graph of a report: moved, zoomed, and with the edges of one action lit.
const graph = byId("graph");
const svg = graph?.querySelector("svg");
const boxes = graph ? [...graph.querySelectorAll(".ws-box")] : [];
const touching = new Map();
for (const edge of facts.edges) for (const n of edge.slice(0, 2)) touching.set(n, [...(touching.get(n) ?? []), edge[2]]);
const lit = document.createElementNS(SVG, "path");
let picked = -1;
let view = null;
let whole = null;

function light(n) {
  if (!graph) return;
  boxes[picked]?.classList.remove("picked");
  picked = n;
  boxes[n]?.classList.add("picked");
  lit.setAttribute("d", (touching.get(n) ?? []).join(""));
}

function look() {
  svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  graph.classList.toggle("far", view.w / graph.clientWidth > 2.2);
}

function fit() {
  const wide = graph.clientWidth;
  const high = Math.min(460, Math.max(120, Math.max(whole.h, 0) * Math.min(1, wide / whole.w)));
  graph.style.height = `${high}px`;
  const scale = Math.max(whole.w / wide, whole.h / high, 1);
  const w = wide * scale, h = high * scale;
  view = { w, h, x: whole.x - (whole.w < w ? Math.min((w - whole.w) / 2, 0) : 0), y: whole.y - (h - whole.h) / 2 };
  if (whole.w < w) view.x = whole.x - (w - whole.w) / 2;
  look();
}

function zoom(factor, x = 0.5, y = 0.5) {
  const w = Math.min(Math.max(view.w * factor, 120), whole.w * 3);
  const real = w / view.w, h = view.h * real;
  view = { w, h, x: view.x + (view.w - w) * x, y: view.y + (view.h - h) * y };
  look();
}

function move(dx, dy) {
  view.x += dx * view.w;
  view.y += dy * view.h;
  look();
}

// Moves the graph when the box of an action is out of sight, or under the panel.
function reveal(n) {
  if (!graph) return;
  const seen = graph.getBoundingClientRect(), box = boxes[n].getBoundingClientRect();
  const right = Math.min(seen.right, byId("panel").hidden ? Infinity : byId("panel").getBoundingClientRect().left);
  if (box.left >= seen.left && box.right <= right && box.top >= seen.top && box.bottom <= seen.bottom) return;
  const x = (box.left + box.right) / 2 - (seen.left + right) / 2, y = (box.top + box.bottom) / 2 - (seen.top + seen.bottom) / 2;
  move(x / graph.clientWidth, y / graph.clientHeight);
}

function startGraph() {
  const box = svg.viewBox.baseVal;
  whole = { x: box.x, y: box.y, w: box.width, h: box.height };
  lit.id = "lit";
  lit.setAttribute("class", "ws-edge");
  svg.querySelector(".ws-all").insertBefore(lit, boxes[0] ?? null);
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  fit();
  window.addEventListener("resize", fit);
  for (const button of all("[data-zoom]")) button.addEventListener("click", () => {
    if (button.dataset.zoom === "fit") fit();
    else zoom(button.dataset.zoom === "in" ? 0.7 : 1.43);
  });
  graph.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const rect = graph.getBoundingClientRect();
    zoom(Math.exp(event.deltaY / 400), (event.clientX - rect.left) / rect.width, (event.clientY - rect.top) / rect.height);
  }, { passive: false });
  const keys = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
  graph.addEventListener("keydown", (event) => {
    if (keys[event.key]) move(...keys[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(0.7);
    else if (event.key === "-") zoom(1.43);
    else if (event.key === "0") fit();
    else return;
    event.preventDefault();
  });
  dragging();
  graph.addEventListener("pointerover", (event) => {
    const found = event.target.closest(".ws-box");
    if (byId("panel").hidden) light(found ? Number(found.dataset.n) : -1);
  });
}

function dragging() {
  let from = null;
  graph.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, y: event.clientY, far: 0, box: event.target.closest(".ws-box") };
    graph.setPointerCapture(event.pointerId);
  });
  graph.addEventListener("pointermove", (event) => {
    if (!from) return;
    const dx = event.clientX - from.x, dy = event.clientY - from.y;
    from = { ...from, x: event.clientX, y: event.clientY, far: from.far + Math.abs(dx) + Math.abs(dy) };
    graph.classList.add("drag");
    move(-dx / graph.clientWidth, -dy / graph.clientHeight);
  });
  graph.addEventListener("pointerup", () => {
    if (from && from.far < 5 && from.box) show(Number(from.box.dataset.n));
    from = null;
    graph.classList.remove("drag");
  });
}
