"use strict";
// Everything that comes from outside is written with textContent: a label is never markup.
const $ = id => document.getElementById(id);
const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2"];
const INKS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7a5195", "#444444"];
const HOT = [255, 72, 48], SHOWN_S = 30, EVENTS = 60, NOTES = 20, GONE_S = 3;
const VIDEOS = 5;  // a browser keeps six connections to one address, and one is for the stream
const chart = $("history"), plot = chart.getContext("2d");
let hello = { classes: [], threshold: 0.5 }, now_on = null, chosen = "auto";
const blank = $("panels").firstElementChild.cloneNode(true);
const histories = new Map();  // recording and person -> [{time_s, top, ...}]
const going = new Map();      // recording and person -> the list item of an event that goes on
let panels = [];              // of each camera: where it is drawn, what it is, its newest frame

function panel(root) {
  const canvas = root.querySelector("canvas");
  return {
    root, canvas, pen: canvas.getContext("2d"), img: root.querySelector("img"), take: { bones: [], size: [640, 640], title: null },
    title: root.querySelector(".take"), clock: root.querySelector(".clock"), frame: null,
  };
}
function arrange(count) {
  $("panels").replaceChildren(...Array.from({ length: count }, () => blank.cloneNode(true)));
  $("panels").className = count > 1 ? "several" : "";
  panels = [...$("panels").children].map(panel);
  panels.forEach((each, place) => {
    if (count > 1) each.title.textContent = `camera ${place + 1}: waiting`;
    if (hello.video && place < VIDEOS) {
      each.img.className = hello.mirror ? "mirror" : "";
      each.img.src = `video${location.search ? location.search + "&" : "?"}place=${place}`;
      each.img.hidden = false;
    }
    draw(each);
  });
}

const colour = id => COLOURS[(id === null ? 0 : Math.abs(id)) % COLOURS.length];
const inks = new Map();       // label -> its colour, in the order in which labels come up
function ink(label) {
  if (!inks.has(label)) inks.set(label, INKS[inks.size % INKS.length]);
  return inks.get(label);
}
const words = label => String(label).replaceAll("_", " ");
const keyOf = record => `${record.recording}\n${record.person}`;
function name(record) {
  const who = record.person === null ? "scene" : `person ${record.person}`;
  const place = panels.findIndex(each => each.take.title !== null && each.take.title === record.recording);
  return panels.length > 1 && place >= 0 ? `camera ${place + 1}, ${who}` : who;
}
function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}
function rgb(hex) { return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)); }
function mix(cold, weight) { return `rgb(${rgb(cold).map((c, i) => Math.round(c * (1 - weight) + HOT[i] * weight)).join(",")})`; }
function state(text, kind) { $("state").textContent = text; $("state").className = `state ${kind}`; }

function fit(canvas, height) {
  const scale = Math.min(window.devicePixelRatio || 1, 2), width = canvas.clientWidth;
  const w = Math.round(width * scale), h = Math.round(height * scale);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  return scale;
}

function draw(each) {
  const { canvas: view, pen, take, frame } = each, [w, h] = take.size, wide = view.clientWidth;
  // A tall or square picture is shown as wide as the page, and no higher than a screen.
  const high = Math.min(wide * h / w, Math.max(window.innerHeight * (panels.length > 1 ? 0.42 : 0.62), 200));
  view.style.height = `${high}px`;
  const scale = fit(view, high), zoom = Math.min(wide / w, high / h) * scale;
  const left = (view.width - w * zoom) / 2, top = (view.height - h * zoom) / 2;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  if (!each.img.hidden) pen.clearRect(0, 0, view.width, view.height);
  else { pen.fillStyle = "#000"; pen.fillRect(0, 0, view.width, view.height); }
  if (!frame) return;
  const spot = ([x, y]) => [left + (hello.mirror ? w - x : x) * zoom, top + y * zoom];
  const unit = Math.max(Math.min(view.width, view.height) / 240, scale);
  const size = Math.max(13 * scale, 6 * unit);
  pen.lineCap = "round";
  pen.font = `600 ${size}px system-ui, sans-serif`;
  for (const person of frame.people) {
    const cold = colour(person.id), at = person.at.map(point => point && spot(point));
    pen.strokeStyle = cold;
    pen.lineWidth = 1.5 * unit;
    for (const [a, b] of take.bones) {
      if (!at[a] || !at[b]) continue;
      pen.beginPath(); pen.moveTo(...at[a]); pen.lineTo(...at[b]); pen.stroke();
    }
    at.forEach((point, joint) => {
      if (!point) return;
      const weight = person.weights ? person.weights[joint] : 0;
      pen.fillStyle = mix(cold, weight);
      pen.beginPath(); pen.arc(...point, (1.6 + 4 * weight) * unit, 0, 2 * Math.PI); pen.fill();
    });
    const seen = at.filter(Boolean);
    if (!seen.length) continue;
    const text = person.text && words(person.text), width = pen.measureText(text).width;
    const x = Math.min(Math.max(Math.min(...seen.map(p => p[0])), 4), Math.max(view.width - width - 4, 4));
    write(pen, text, x, Math.max(Math.min(...seen.map(p => p[1])) - 5 * unit, size + 2), cold, unit);
  }
  write(pen, frame.banner && words(frame.banner), 4 * unit, size + 3 * unit, "#fff", unit);
}
function write(pen, text, x, y, shade, unit) {
  if (!text) return;
  pen.lineWidth = 2 * unit; pen.lineJoin = "round"; pen.strokeStyle = "#000"; pen.fillStyle = shade;
  pen.strokeText(text, x, y); pen.fillText(text, x, y);
}

function strips() {
  const people = panels.flatMap(({ frame }, place) => frame ? frame.people.filter(p => p.moments).map(p => [place, p]) : []);
  $("moments").hidden = !people.length;
  $("strips").replaceChildren(...people.map(([place, person]) => {
    const strip = make("div", "strip");
    const who = make("b", "", person.id === null ? "" : panels.length > 1 ? `${place + 1}: ${person.id}` : String(person.id));
    who.style.color = colour(person.id);
    strip.append(who, ...person.moments.map(weight => {
      const cell = make("i");
      cell.style.backgroundColor = `rgba(255,72,48,${weight})`;
      return cell;
    }));
    return strip;
  }));
}

function people() {
  const rows = [...histories].filter(([, list]) => {
    if (!list.length) return false;
    // Every camera has a clock of its own.
    const { recording, time_s } = list.at(-1), seen = panels.find(each => each.take.title === recording && each.frame);
    return (seen ? seen.frame.time_s : time_s) - time_s < GONE_S;
  });
  $("people").replaceChildren(...rows.map(([, list]) => {
    const { label, prob, person } = list.at(-1), row = make("li"), what = make("span", "what", words(label) + " ");
    const dot = make("span", "dot"), track = make("div", "track"), fill = make("div", "fill");
    dot.style.background = colour(person);
    fill.style.width = `${100 * prob}%`;
    fill.style.background = ink(label);
    what.append(make("span", "who", name(list.at(-1))));
    track.append(fill);
    row.append(dot, what, make("span", "prob", `${Math.round(100 * prob)} %`), track);
    return row;
  }));
  if (!rows.length) $("people").append(make("li", "quiet", panels.some(({ frame }) => frame && frame.people.length) ? "no prediction yet" : "no person in view"));
  const known = [...histories.keys()];
  if (chosen !== "auto" && !histories.has(chosen)) chosen = "auto";
  const shown = chosen === "auto" ? (rows.length ? rows[0][0] : known.at(-1)) : chosen;
  $("who").hidden = known.length < 2;
  const old = [...$("who").children].map(b => b.dataset.key).join(), fresh = known.join();
  if (old !== fresh) {
    $("who").replaceChildren(...known.map(key => {
      const button = make("button", "", name(histories.get(key).at(-1)));
      button.dataset.key = key;
      button.addEventListener("click", () => { chosen = key; people(); });
      return button;
    }));
  }
  for (const button of $("who").children) button.setAttribute("aria-pressed", String(button.dataset.key === shown));
  history(shown === undefined ? [] : histories.get(shown));
}

function history(list) {
  const scale = fit(chart, 170), w = chart.clientWidth, h = 170, left = 40, right = 6, top = 8, bottom = 20;
  plot.setTransform(scale, 0, 0, scale, 0, 0);
  plot.clearRect(0, 0, w, h);
  plot.font = "11px system-ui, sans-serif";
  const y = prob => top + (1 - prob) * (h - top - bottom);
  const last = list.length ? list.at(-1).time_s : SHOWN_S;
  const x = time_s => left + (1 + (time_s - last) / SHOWN_S) * (w - left - right);
  for (const prob of [0, 0.5, 1]) {
    plot.strokeStyle = "#ece8de"; plot.lineWidth = 1; plot.setLineDash([]);
    plot.beginPath(); plot.moveTo(left, y(prob)); plot.lineTo(w - right, y(prob)); plot.stroke();
    plot.fillStyle = "#66707f"; plot.textAlign = "right"; plot.fillText(`${100 * prob}%`, left - 5, y(prob) + 4);
  }
  plot.strokeStyle = "#9aa4b2"; plot.setLineDash([4, 4]);
  plot.beginPath(); plot.moveTo(left, y(hello.threshold)); plot.lineTo(w - right, y(hello.threshold)); plot.stroke();
  plot.setLineDash([]);
  plot.fillStyle = "#66707f"; plot.textAlign = "left"; plot.fillText(`${SHOWN_S} s ago`, left, h - 4);
  plot.textAlign = "right"; plot.fillText("now", w - right, h - 4);
  const best = new Map();
  for (const each of list) for (const [label, prob] of each.top) best.set(label, Math.max(best.get(label) || 0, prob));
  const labels = [...best].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([label]) => label);
  labels.forEach((label, place) => {
    plot.strokeStyle = ink(label); plot.fillStyle = ink(label); plot.lineWidth = 2; plot.lineJoin = "round";
    // Two labels of one colour still differ.
    plot.setLineDash(labels.slice(0, place).some(other => ink(other) === ink(label)) ? [6, 3] : []);
    plot.beginPath();
    let before = null, tip = null;
    for (const each of list) {
      const found = each.top.find(([other]) => other === label), prob = found ? found[1] : 0;
      if (x(each.time_s) < left) continue;
      if (before === null || each.time_s - before > 3) plot.moveTo(x(each.time_s), y(prob));
      else plot.lineTo(x(each.time_s), y(prob));
      before = each.time_s; tip = [x(each.time_s), y(prob)];
    }
    plot.stroke();
    if (tip) { plot.beginPath(); plot.arc(...tip, 2.5, 0, 2 * Math.PI); plot.fill(); }
  });
  plot.setLineDash([]);
  $("legend").replaceChildren(...labels.map(label => {
    const item = make("li"), dot = make("span", "dot");
    dot.style.background = ink(label);
    item.append(dot, document.createTextNode(words(label)));
    return item;
  }));
}

function event(e) {
  const key = keyOf(e);
  let item = going.get(key);
  if (e.event === "start" || !item) {
    item = make("li", "going");
    $("events").prepend(item);
    while ($("events").children.length > EVENTS) $("events").lastChild.remove();
    going.set(key, item);
  }
  const what = make("span", "what", words(e.label) + " ");
  const reps = e.reps === undefined ? "" : ` · ${e.reps}×`;
  const right = e.hint === undefined ? "" : ` · right ${Math.round(100 * e.hint.correct)} %`;
  what.append(make("small", "", `${name(e)} · ${Math.round(100 * e.prob)} %${reps}${right}`));
  const when = e.event === "end" ? `${e.start_s.toFixed(1)} to ${e.end_s.toFixed(1)} s` : `since ${e.start_s.toFixed(1)} s`;
  item.replaceChildren(make("span", "dot"), what, make("span", "when", when));
  if (e.event === "end") { item.className = ""; going.delete(key); }
  $("none").hidden = true;
}

function status(s) {
  if (s.frames !== undefined) {
    const lost = Object.entries(s.losses || {}).map(([what, count]) => `${what} ${count}`).join(", ");
    $("totals").textContent = `${s.frames} frames, ${s.dropped} dropped, ${s.answers} predictions, ${s.events} events`
      + (lost ? ` · ${lost}` : "") + (s.skipped ? ` · ${s.skipped} recordings skipped` : "");
  }
  const rows = Object.entries(s.latency_ms || {}).map(([stage, n]) => [stage, n.count, n.p50.toFixed(1), n.p90.toFixed(1), n.p99.toFixed(1)]);
  tabulate($("stages"), ["stage, ms", "count", "p50", "p90", "p99"], rows, []);
  const sinks = s.sinks || [];
  tabulate($("sinks"), ["to", "sent", "waiting", "lost"], sinks.map(k => [k.to, k.sent, k.waiting, k.lost]), sinks.map(k => k.lost || k.fault ? "bad" : ""));
}
function tabulate(table, header, rows, classes) {
  table.replaceChildren();
  if (!rows.length) return;
  const head = make("tr");
  head.append(...header.map(text => make("th", "", text)));
  table.append(head, ...rows.map((row, n) => {
    const line = make("tr", classes[n] || "");
    line.append(...row.map(cell => make("td", "", String(cell))));
    return line;
  }));
}

const kinds = {
  hello(m) {
    hello = m;
    histories.clear(); going.clear(); $("events").replaceChildren(); $("notes").replaceChildren(); $("none").hidden = false;
    $("model").textContent = m.model;
    now_on = null;
    arrange(1);
    state("live", "on");
  },
  take(m) {
    if (m.take !== now_on) {
      now_on = m.take;
      histories.clear();
      for (const each of panels) each.frame = null;
      if (panels.length !== m.places) arrange(m.places);
    }
    const each = panels[m.place];
    each.take = m;
    each.frame = null;
    each.title.textContent = m.places > 1 ? `camera ${m.place + 1}: ${m.title}` : m.title;
    draw(each);
  },
  frame(m) {
    const each = panels[m.place];
    if (!each) return;
    each.frame = m;
    each.clock.textContent = `${m.time_s.toFixed(1)} s`;
    draw(each);
    strips();
  },
  answer(m) {
    const key = keyOf(m), list = histories.get(key) || [];
    if (list.length && m.time_s < list.at(-1).time_s) list.length = 0;
    list.push({ time_s: m.time_s, top: m.top, label: m.label, prob: m.prob, person: m.person, recording: m.recording });
    while (list.length && list[0].time_s < m.time_s - SHOWN_S) list.shift();
    histories.set(key, list);
    for (const [other, history] of histories) {
      const old = history.at(-1).recording === m.recording && history.at(-1).time_s < m.time_s - SHOWN_S;
      if (other !== key && (histories.size > 12 || old)) histories.delete(other);
    }
    dirty = true;
  },
  event,
  status,
  note(m) {
    $("notes").prepend(make("li", "", m.text));
    while ($("notes").children.length > NOTES) $("notes").lastChild.remove();
  },
  over() { state("ended", ""); source.close(); },
};
let dirty = false;
setInterval(() => { if (dirty) { dirty = false; people(); } }, 200);
window.addEventListener("resize", () => { panels.forEach(draw); people(); });
const source = new EventSource("stream" + location.search);
source.onmessage = message => { const m = JSON.parse(message.data); if (kinds[m.kind]) kinds[m.kind](m); };
source.onerror = () => state("not connected", "bad");
arrange(1); people();
