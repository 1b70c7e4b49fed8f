// The panel of one action.
function part(title, ...content) {
  byId("body").append(element("h3", "", title), ...content);
}

function names(ids) {
  const made = element("div", "names");
  for (const id of ids) {
    const button = element("button", "open", id);
    button.dataset.open = id;
    made.append(button);
  }
  return made;
}

function attempt(one, n) {
  const made = element("div", "try");
  const words = `${n + 1}. ${one.outcome}, ${time((one.to ?? one.from) - one.from)}, at ${time(one.from)}`;
  made.append(symbol(TRY_LOOKS[one.outcome]), element("span", "", one.worker ? `${words}, on ${one.worker}` : words));
  return one.error ? [made, element("pre", "fault", one.error)] : [made];
}

function open(n) {
  const action = actions[n], panel = byId("panel"), body = byId("body");
  panel.querySelector("h2").textContent = action.id;
  body.replaceChildren();
  const status = element("p", `status ws-${action.look}`);
  status.append(symbol(action.look), element("span", "", action.look));
  const first = element("div", "head");
  first.append(status);
  if (action.def) first.append(element("code", "", action.def));
  body.append(first);
  const length = took(action);
  const words = [action.level ? `level ${action.level}` : "", length < 0 ? "" : `${time(length)}, from ${time(action.from)}`,
    critical.has(action.id) ? "on the critical path" : "", blockedBy(action)].filter(Boolean).join(" · ");
  if (words) part("When", element("p", "", words));
  if (action.reason) part("Why it did not run", element("p", "", action.reason));
  if (action.error) part("Error", element("pre", "fault",
    Object.entries(action.error).map(([name, value]) => `${name}: ${value}`).join("\n")));
  const tries = action.tries ?? [];
  if (tries.length) part(tries.length > 1 ? `${tries.length} attempts` : "Attempt", ...tries.flatMap(attempt));
  if (action.question || action.asked) part("Confirmation",
    element("p", "", [action.question, action.asked?.answer].filter(Boolean).join("\n")));
  if (action.condition) part("Condition", element("pre", "", action.condition));
  if (action.inputs) part("Inputs, as in the plan", element("pre", "", action.inputs));
  if (action.output) part("Output", element("pre", "", action.output));
  if (action.fallback) part("Fallback value", element("pre", "", action.fallback));
  if (action.alternative) part("If it fails", names([action.alternative]));
  if (action.standsFor) part("Runs only if this fails", names(action.standsFor));
  if (action.blocks) part(`It blocked ${action.blocks.length}`, names(action.blocks));
  if (action.needs) part("Waits for", names(action.needs));
  if (action.next) part("Waited for by", names(action.next));
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.focus({ preventScroll: true });
  light(n);
  reveal(n);
}

let before = null;
function close() {
  if (byId("panel").hidden) return;
  byId("panel").hidden = true;
  light(-1);
  (before?.isConnected ? before : byId("list")).focus({ preventScroll: true });
}
