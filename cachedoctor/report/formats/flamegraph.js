(() => {
  "use strict";
  const LETTER = 7.2;
  const chart = document.currentScript.closest("svg");
  const header = chart.querySelector(".header");
  const details = chart.querySelector(".details");
  const matched = chart.querySelector(".matched");
  const idle = `${details.textContent}  (click a frame to zoom, Escape to zoom out)`;
  const frames = [...chart.querySelectorAll(".frame")].map(read);
  const byGroup = new Map(frames.map((frame) => [frame.group, frame]));
  const root = frames[0];

  function read(group, index) {
    const [name, share] = group.querySelector("title").textContent.split("\n");
    const rect = group.querySelector("rect");
    const number = (key) => Number(rect.getAttribute(key));
    const depth = Number(group.dataset.depth);
    const text = group.querySelector("text");
    return { group, index, name, share, rect, text, depth, x: number("x"), y: number("y"), width: number("width") };
  }

  // The frames come in preorder: the last one seen a level below is the parent.
  function link() {
    const path = [];
    for (const frame of frames) {
      path.length = frame.depth;
      frame.parent = path[frame.depth - 1] || null;
      path.push(frame);
    }
  }

  const cells = (text) => [...text].reduce((sum, letter) => sum + (letter > "\x7f" ? 2 : 1), 0);

  // As `fit` of the static drawing.
  function fit(name, room) {
    if (cells(name) <= room) return name;
    name = name.replace(/^[^[(]*\//, "");
    if (cells(name) <= room) return name;
    if (room < 3) return "";
    let kept = "";
    let used = 1;
    for (const letter of name) {
      used += cells(letter);
      if (used > room) break;
      kept += letter;
    }
    return kept + "…";
  }

  function draw(frame, x, width) {
    frame.rect.setAttribute("x", x);
    frame.rect.setAttribute("width", width);
    const label = fit(frame.name, (width - 6) / LETTER);
    if (!frame.text) {
      if (!label) return;
      frame.text = document.createElementNS(chart.namespaceURI, "text");
      frame.text.setAttribute("y", frame.y + 13);
      frame.group.append(frame.text);
    }
    frame.text.setAttribute("x", x + 3);
    frame.text.textContent = label;
  }

  function zoom(focus) {
    const below = new Set();
    for (let frame = focus.parent; frame; frame = frame.parent) below.add(frame);
    let end = focus.index + 1;
    while (end < frames.length && frames[end].depth > focus.depth) end += 1;
    const scale = root.width / focus.width;
    for (const frame of frames) {
      const inside = frame.index >= focus.index && frame.index < end;
      frame.shown = inside || below.has(frame);
      frame.group.classList.toggle("dim", below.has(frame));
      frame.group.classList.toggle("gone", !frame.shown);
      if (inside) draw(frame, root.x + (frame.x - focus.x) * scale, frame.width * scale);
      else if (frame.shown) draw(frame, root.x, root.width);
    }
    reset.disabled = focus === root;
    if (document.activeElement && document.activeElement.closest(".gone")) focusOn(focus);
  }

  // A frame above a matched one adds nothing: its column is counted already.
  function search(pattern) {
    let regex = null;
    let message = "";
    try {
      regex = pattern ? new RegExp(pattern, "i") : null;
    } catch (error) {
      message = fit(error.message, 75);
    }
    let sum = 0;
    for (const frame of frames) {
      const hit = regex !== null && frame !== root && regex.test(frame.name);
      const counted = frame.parent !== null && frame.parent.counted;
      if (hit && !counted) sum += frame.width;
      frame.counted = hit || counted;
      frame.group.classList.toggle("hit", hit);
    }
    matched.textContent = regex ? `Matched: ${((100 * sum) / root.width).toFixed(1)}%` : message;
  }

  function tell(frame) {
    const room = root.width / LETTER - cells(frame.share) - 3;
    details.textContent = `${fit(frame.name, room)}  ${frame.share}`;
  }

  function frameOf(event) {
    const group = event.target.closest(".frame");
    return group ? byGroup.get(group) : null;
  }

  // One frame at a time is in the order of the Tab key; arrows lead to the others.
  function focusOn(frame) {
    for (const group of chart.querySelectorAll(".frame[tabindex]")) group.removeAttribute("tabindex");
    frame.group.setAttribute("tabindex", "0");
    frame.group.focus();
  }

  function neighbour(frame, key) {
    if (key === "ArrowDown") return frame.parent;
    const row = frames.filter((other) => other.shown && other.depth === frame.depth);
    if (key === "ArrowLeft") return row[row.indexOf(frame) - 1];
    if (key === "ArrowRight") return row[row.indexOf(frame) + 1];
    const above = frames.filter((other) => other.shown && other.parent === frame);
    return above.sort((one, other) => other.width - one.width)[0];
  }

  function onFrameKey(event) {
    const frame = frameOf(event);
    if (!frame || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") zoom(frame);
    else if (event.key.startsWith("Arrow")) {
      const next = neighbour(frame, event.key);
      if (next) focusOn(next);
    } else return;
    event.preventDefault();
  }

  function onKey(event) {
    const typing = document.activeElement === input;
    // A second Ctrl-F is for the search of the browser.
    if ((event.ctrlKey || event.metaKey) && event.key === "f" && !typing) {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === "Escape" && typing && input.value) {
      event.preventDefault();
      input.value = "";
      search("");
    } else if (event.key === "Escape" && root) zoom(root);
  }

  function html(tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/1999/xhtml", tag);
    for (const [key, content] of Object.entries(attributes)) element.setAttribute(key, content);
    if (text) element.textContent = text;
    return element;
  }

  function place(form) {
    const box = document.createElementNS(chart.namespaceURI, "foreignObject");
    const area = { x: 770, y: 7, width: 420, height: 30 };
    for (const [key, content] of Object.entries(area)) box.setAttribute(key, content);
    box.append(form);
    header.append(box);
  }

  // The header stays in sight while a high graph scrolls.
  function pin() {
    const matrix = chart.getScreenCTM();
    if (!matrix) return;
    const lowest = chart.viewBox.baseVal.height - header.getBBox().height;
    header.setAttribute("transform", `translate(0 ${Math.min(Math.max(0, -matrix.f / matrix.d), lowest)})`);
  }

  const form = html("form", { class: "controls", role: "search" });
  const input = html("input", { type: "search", placeholder: "regular expression", "aria-label": "Search frames" });
  const find = html("button", { type: "submit", title: "Ctrl-F" }, "Search");
  const reset = html("button", { type: "button", title: "Escape", disabled: "" }, "Reset zoom");
  form.append(input, find, reset);
  if (!root) return;

  link();
  place(form);
  zoom(root);
  details.textContent = idle;
  matched.setAttribute("role", "status");
  for (const frame of frames) frame.group.setAttribute("role", "button");
  root.group.setAttribute("tabindex", "0");
  chart.querySelector(".frames").classList.add("active");
  chart.addEventListener("click", (event) => {
    const frame = frameOf(event);
    if (frame) zoom(frame);
  });
  chart.addEventListener("mouseover", (event) => {
    const frame = frameOf(event);
    if (frame) tell(frame);
    else details.textContent = idle;
  });
  chart.addEventListener("focusin", (event) => {
    const frame = frameOf(event);
    if (frame) tell(frame);
  });
  chart.addEventListener("keydown", onFrameKey);
  document.addEventListener("keydown", onKey);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search(input.value);
  });
  input.addEventListener("input", () => search(input.value));
  reset.addEventListener("click", () => zoom(root));
  // A graph higher than the window is seen from its root.
  if (chart === document.documentElement) window.scrollTo(0, chart.scrollHeight);
  pin();
  window.addEventListener("scroll", pin, { passive: true });
  window.addEventListener("resize", pin, { passive: true });
})();
