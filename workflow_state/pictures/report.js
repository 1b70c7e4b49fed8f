// The script of a report: what all its parts share. Text is only ever set as text, never as markup.
"use strict";
const SVG = "http://www.w3.org/2000/svg";
const ROW = 26, MOST_ROWS = 22;
const facts = JSON.parse(document.getElementById("facts").textContent);
const { actions, span } = facts;
const place = new Map(actions.map((action, n) => [action.id, n]));
const critical = new Set(facts.critical);
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function symbol(look) {
  const svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", `symbol ws-${look}`);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#ws-s-${look}`);
  svg.append(use);
  return svg;
}

function time(ms) {
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const s = ms / 1000;
  if (s < 1) return `${Math.round(ms)} ms`;
  if (s < 60) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${two((s % 86400) / 3600)} h`;
}

const took = (action) => (action.from === undefined ? -1 : (action.to ?? span) - action.from);

// Ids often begin alike: in a narrow column only what tells them apart is worth its room.
const brief = (id) => (facts.shared ? `…${id.slice(facts.shared.length)}` : id);
const blockedBy = (action) => (action.blockedBy ? `blocked by ${action.blockedBy}` : "");
