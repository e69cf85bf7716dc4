// Draws the part of the run that is looked at.

const RULER = 22;
const BAND = 17;
const BANDS_MAX = 4;
const CLOCKS = 62;
const TEXT = "12px system-ui, sans-serif";
const SMALL = "11px system-ui, sans-serif";
const TAG = "600 11px system-ui, sans-serif";

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "ink", "quiet", "grid", "lane", "broken", "ok", "fail", "info", "focus"];
  const set = Object.fromEntries(names.map((name) => [name, of(name)]));
  set.outcome = [set.ok, set.fail, set.info, set.info];
  set.client = Array.from({ length: 8 }, (_, i) => of(`c${i}`));
  return set;
}

function newView(canvas, run) {
  const bands = bandRows(run.faults);
  const rows = Math.min(BANDS_MAX, Math.max(0, ...bands.map((row) => row + 1)));
  const header = RULER + rows * BAND + (run.leaders.length ? BAND : 0) + 4;
  return {
    canvas, run, bands, header,
    pen: canvas.getContext("2d"),
    footer: run.clocks.length ? CLOCKS : 0,
    ...{ from: 0, to: Math.max(run.end_us, 1), scroll: 0, hot: null, chosen: null },
  };
}

function bandRows(faults) {
  const free = [];
  return faults.map((fault) => {
    let row = free.findIndex((until) => until <= fault.from_us);
    if (row < 0) row = free.length < BANDS_MAX ? free.push(0) - 1 : BANDS_MAX - 1;
    free[row] = Math.max(free[row], fault.until_us);
    return row;
  });
}

function measure(view) {
  const { canvas } = view;
  const box = canvas.parentElement;
  const [width, height, ratio] = [box.clientWidth, box.clientHeight, window.devicePixelRatio || 1];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  view.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  view.width = width;
  view.height = height;
  view.left = width < 600 ? 76 : 150;
}

const xOf = (view, us) => view.left + ((us - view.from) / (view.to - view.from)) * (view.width - view.left);
const timeAt = (view, x) => view.from + ((x - view.left) / (view.width - view.left)) * (view.to - view.from);
// Bars that begin or end far outside would lose their edges to rounding.
const clampX = (view, x) => Math.max(view.left - 50, Math.min(view.width + 50, x));

function draw(view) {
  measure(view);
  view.ink = colours();
  const { pen, ink, width, height, left, header, footer } = view;
  pen.fillStyle = ink.paper;
  pen.fillRect(0, 0, width, height);
  pen.textBaseline = "middle";
  clipped(pen, left, RULER, width - left, height - RULER, () => {
    drawGrid(view);
    drawBands(view);
  });
  clipped(pen, 0, header, width, height - header - footer, () => {
    for (const lane of view.layout.lanes) {
      const y = header + lane.y - view.scroll;
      if (y + lane.height >= header && y <= height - footer) drawLane(view, lane, y);
    }
  });
  drawRuler(view);
  drawTheEnd(view);
  if (footer) drawClocks(view);
}

function clipped(pen, x, y, width, height, paint) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  paint();
  pen.restore();
}

function write(view, text, x, y, room, colour, font = TEXT) {
  const { pen } = view;
  pen.font = font;
  pen.fillStyle = colour;
  if (pen.measureText(text).width > room) {
    if (room < 24) return 0;
    let [fits, tooMany] = [0, text.length];
    while (fits + 1 < tooMany) {
      const middle = (fits + tooMany) >> 1;
      if (pen.measureText(`${text.slice(0, middle)}…`).width <= room) fits = middle;
      else tooMany = middle;
    }
    if (fits < 2) return 0;
    text = `${text.slice(0, fits)}…`;
  }
  pen.fillText(text, x, y);
  return pen.measureText(text).width;
}

function drawBands(view) {
  const { pen, run, ink, height, width } = view;
  run.faults.forEach((fault, i) => {
    const x = clampX(view, xOf(view, fault.from_us));
    const end = Math.max(x + 2, clampX(view, xOf(view, fault.until_us)));
    const y = RULER + view.bands[i] * BAND;
    pen.fillStyle = fault.colour;
    pen.globalAlpha = 0.1;
    pen.fillRect(x, y, end - x, height);
    pen.globalAlpha = 0.4;
    pen.fillRect(x, y + 1, end - x, BAND - 2);
    pen.globalAlpha = 1;
    pen.fillRect(x, y + 1, 2, BAND - 2);
    const seen = Math.max(x, view.left);
    write(view, fault.what, seen + 6, y + BAND / 2, Math.min(end, width) - seen - 8, ink.ink);
    if (isSame(view, { type: "fault", i })) frame(view, x, y + 1, end - x, BAND - 2);
  });
  const y = view.header - BAND - 2;
  run.leaders.forEach((leader, i) => {
    const x = clampX(view, xOf(view, leader.since_us));
    const next = run.leaders[i + 1];
    const end = next ? clampX(view, xOf(view, next.since_us)) : width;
    if (end < view.left || x > width) return;
    pen.globalAlpha = i % 2 ? 1 : 0.5;
    pen.fillStyle = ink.grid;
    pen.fillRect(x, y + 1, end - x, BAND - 2);
    pen.globalAlpha = 1;
    if (i) {
      pen.fillStyle = ink.quiet;
      for (let dash = y; dash < height; dash += 7) pen.fillRect(x, dash, 1.5, 4);
    }
    const seen = Math.max(x, view.left);
    write(view, `${leader.name} leads, term ${leader.term}`, seen + 6, y + BAND / 2, end - seen - 8, ink.ink);
  });
}

function drawRuler(view) {
  const { pen, ink, width, left, header } = view;
  pen.fillStyle = ink.grid;
  pen.fillRect(0, header - 1, width, 1);
  if (view.bands.length) write(view, "faults", 8, RULER + BAND / 2, left - 12, ink.quiet);
  if (view.run.leaders.length) write(view, "leader", 8, header - BAND / 2 - 2, left - 12, ink.quiet);
  for (const { us, text } of ticks(view)) {
    const x = xOf(view, us);
    pen.fillStyle = ink.grid;
    pen.fillRect(x, RULER - 4, 1, 4);
    write(view, text, x + 3, 10, 80, ink.quiet);
  }
}

function ticks(view) {
  const step = roundStep((view.to - view.from) / Math.max(2, (view.width - view.left) / 90));
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step / 1e6) - 1e-9)));
  const all = [];
  for (let us = Math.ceil(view.from / step) * step; us <= view.to && all.length < 100; us += step) {
    if (us > -step / 2) all.push({ us, text: `${(us / 1e6).toFixed(digits)} s` });
  }
  return all;
}

function drawGrid(view) {
  view.pen.fillStyle = view.ink.grid;
  for (const { us } of ticks(view)) view.pen.fillRect(xOf(view, us), RULER, 1, view.height);
}

// A promise may reach beyond the end of the run, where nobody looked any more.
function drawTheEnd(view) {
  const x = xOf(view, view.run.end_us);
  if (x < view.left || x > view.width - 3) return;
  view.pen.fillStyle = view.ink.quiet;
  view.pen.fillRect(x, RULER - 4, 2, view.height);
  view.pen.globalAlpha = 0.5;
  view.pen.fillStyle = view.ink.grid;
  view.pen.fillRect(x + 2, view.header, view.width, view.height);
  view.pen.globalAlpha = 1;
  write(view, "the run ended here", x + 6, view.height - view.footer - 10, view.width - x - 8, view.ink.quiet, SMALL);
}

function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= rough) ?? 10 * power;
}

function drawLane(view, lane, y) {
  const { pen, ink, left, width } = view;
  pen.fillStyle = ink.lane;
  pen.fillRect(0, y, left - 6, lane.height);
  pen.globalAlpha = 0.35;
  pen.fillRect(left, y, width - left, lane.height);
  pen.globalAlpha = 1;
  const name = lane.rank === 0 ? ink.broken : ink.ink;
  const font = `${lane.rank === 0 ? "600 " : ""}13px system-ui, sans-serif`;
  write(view, lane.name, 8, y + Math.min(lane.height / 2, 16), left - 20, name, font);
  clipped(pen, left, y, width - left, lane.height, () => {
    const groups = brokenGroups(view, lane);
    drawGrounds(view, lane, y, groups);
    drawHolds(view, lane, y + lane.top);
    drawOps(view, lane, y + lane.top + lane.rows * ROW);
    drawBreaks(view, y, groups);
  });
}

function drawHolds(view, lane, top) {
  const { run: { holds, ops, processes }, pen, ink } = view;
  const last = new Float64Array(ROWS_MAX).fill(-1);
  lane.holds.forEach((hold, i) => {
    if (holds.from[hold] > view.to || holds.drawn[hold] < view.from) return;
    const row = lane.rowOf[i];
    const x = clampX(view, xOf(view, holds.from[hold]));
    const end = Math.max(x + 1.5, clampX(view, xOf(view, holds.until[hold])));
    const tail = clampX(view, xOf(view, holds.drawn[hold]));
    // Thousands of short holds fall on the same few pixels.
    if (tail <= last[row] && !isSame(view, { type: "hold", i: hold })) return;
    last[row] = Math.max(end, tail) - 0.5;
    const [y, thick] = [top + row * ROW + 2, ROW - 5];
    const process = processAt(view, ops.process[holds.acquire[hold]]);
    const colour = ink.client[process % 8];
    if (tail > end + 1) drawBelief(view, hold, { end, tail, y, thick, colour });
    pen.fillStyle = colour;
    pen.fillRect(x, y, end - x, thick);
    drawRenewals(view, hold, y, thick);
    const seen = Math.max(x, view.left);
    write(view, `p${process}`, seen + 4, y + thick / 2 + 0.5, Math.min(end, view.width) - seen - 6, "#fff", TAG);
    drawEnd(view, hold, end, y, thick);
    if (isSame(view, { type: "hold", i: hold })) frame(view, x, y, Math.max(end, tail) - x, thick);
  });
}

const processAt = (view, place) => view.run.processes[place - 1] ?? 0;

// What the client may believe, or the service promised, beyond what is certain: hatched, with a border.
function drawBelief(view, hold, { end, tail, y, thick, colour }) {
  const { pen, run: { holds }, ink } = view;
  const isLost = holds.how[hold] > 1 && holds.gone[hold] < holds.promised[hold];
  clipped(pen, end, y, tail - end, thick, () => {
    pen.strokeStyle = isLost ? ink.broken : colour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let x = Math.max(end, view.left - 20) - thick; x < Math.min(tail, view.width + 20); x += 6) {
      pen.moveTo(x, y + thick);
      pen.lineTo(x + thick, y);
    }
    pen.stroke();
    pen.lineWidth = 2;
    pen.strokeRect(end, y, tail - end, thick);
  });
}

function drawRenewals(view, hold, y, thick) {
  const { pen, run: { holds, ops } } = view;
  let last = -9;
  pen.fillStyle = "rgb(255 255 255 / 75%)";
  for (const op of holds.others[hold]) {
    const x = xOf(view, ops.end[op]);
    if (x < last + 4 || x > view.width || outcomeOf(ops, op) !== 0 || ops.ttl[op] < 0) continue;
    pen.fillRect(x - 0.75, y + thick - 5, 1.5, 5);
    last = x;
  }
}

function drawEnd(view, hold, end, y, thick) {
  const { pen, run: { holds }, ink } = view;
  const middle = y + thick / 2;
  if (holds.how[hold] !== 1) {
    const x = xOf(view, holds.promised[hold]);
    if (x < view.width + 6 && x > view.left - 6 && pixels(view, holds.drawn[hold] - holds.from[hold]) > 10) {
      pen.fillStyle = ink.ink;
      pen.beginPath();
      pen.moveTo(x - 4, middle);
      pen.lineTo(x, middle - 5);
      pen.lineTo(x + 4, middle);
      pen.lineTo(x, middle + 5);
      pen.fill();
    }
  }
  if (holds.how[hold] > 1 && holds.gone[hold] < holds.promised[hold]) {
    pen.strokeStyle = ink.broken;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.moveTo(end - 4, middle - 5);
    pen.lineTo(end + 4, middle + 5);
    pen.moveTo(end - 4, middle + 5);
    pen.lineTo(end + 4, middle - 5);
    pen.stroke();
  } else if (holds.how[hold] === 1 && pixels(view, holds.until[hold] - holds.from[hold]) > 4) {
    pen.fillStyle = ink.ink;
    pen.fillRect(end - 1.5, y - 1, 2, thick + 2);
  }
}

const pixels = (view, us) => (us / (view.to - view.from)) * (view.width - view.left);

// Operations below a pixel: one mark for each pixel and outcome, so that a rare failure is never hidden.
function drawOps(view, lane, top) {
  const { run: { ops }, pen, ink } = view;
  const thick = lane.rows || lane.breaks.length || view.mode === "locks" ? 7 : lane.height - 8;
  const last = [-9, -9, -9, -9];
  eachOp(ops, lane, view.from, view.to, (op) => {
    const outcome = outcomeOf(ops, op);
    const x = clampX(view, xOf(view, ops.t[op]));
    const end = clampX(view, xOf(view, ops.end[op]));
    if (end <= last[outcome]) return;
    last[outcome] = Math.max(x + 1, end);
    pen.fillStyle = ink.outcome[outcome];
    const length = Math.max(1.5, end - x - (end - x > 4 ? 1 : 0));
    if (outcome < 2) pen.fillRect(x, top + outcome, length, thick - 2 * outcome);
    else {
      pen.globalAlpha = 0.55;
      pen.fillRect(x, top, length, thick);
      pen.globalAlpha = 1;
      pen.fillRect(x, top, 1.5, thick);
    }
    if (view.mode === "processes" && length > 50) {
      write(view, deed(view.run, op), Math.max(x, view.left) + 4, top + thick / 2, length - 8, "#fff", SMALL);
    }
  });
  for (const op of named(view)) {
    const at = view.mode === "locks" ? ops.key[op] : ops.process[op];
    if (at !== lane.place || ops.t[op] > view.to || ops.end[op] < view.from) continue;
    const x = clampX(view, xOf(view, ops.t[op]));
    frame(view, x - 1, top - 1, Math.max(4, clampX(view, xOf(view, ops.end[op])) - x + 2), thick + 2);
  }
}

// The operations that are chosen or pointed at, or that show the broken promise that is.
function named(view) {
  const NAMED_MAX = 60;
  const broken = view.chosen?.type === "broken" ? view.run.anomalies[view.chosen.i].ops.slice(0, NAMED_MAX) : [];
  const single = [view.chosen, view.hot].filter((item) => item?.type === "op").map((item) => item.i);
  return [...broken.filter((op) => op < view.run.ops.count), ...single];
}

// Broken promises that touch at this scale, as one bar each, with how many they are.
function brokenGroups(view, lane) {
  const groups = [];
  const inSight = lane.breaks
    .map((i) => ({ i, ...view.run.anomalies[i] }))
    .filter((broken) => broken.from_us <= view.to && broken.until_us >= view.from)
    .sort((a, b) => a.from_us - b.from_us);
  for (const broken of inSight) {
    const x = clampX(view, xOf(view, broken.from_us));
    const end = Math.max(x + 2.5, clampX(view, xOf(view, broken.until_us)));
    const last = groups.at(-1);
    if (last && x <= last.end + 1) {
      last.end = Math.max(last.end, end);
      last.all.push({ x, end, broken });
    } else groups.push({ x, end, all: [{ x, end, broken }] });
  }
  return groups;
}

function drawGrounds(view, lane, y, groups) {
  view.pen.globalAlpha = 0.13;
  for (const { x, end } of groups) {
    view.pen.fillStyle = view.ink.broken;
    view.pen.fillRect(x, y, end - x, lane.height);
  }
  view.pen.globalAlpha = 1;
}

function drawBreaks(view, y, groups) {
  const { pen, ink } = view;
  const thick = BREAK - 6;
  const chosen = [];
  for (const { x, end, all } of groups) {
    const proven = all.filter(({ broken }) => broken.proven);
    pen.fillStyle = proven.length ? ink.broken : ink.info;
    pen.fillRect(x, y + 2, end - x, thick);
    pen.fillStyle = "rgb(255 255 255 / 70%)";
    let last = x;
    for (const each of all) {
      if (each.x > last + 3) pen.fillRect((last = each.x), y + 2, 1, thick);
      if (isSame(view, { type: "broken", i: each.broken.i })) chosen.push(each);
    }
    const few = all.length === 1 ? all[0].broken.margin : `${proven.length || all.length} broken promises`;
    const seen = Math.max(x, view.left);
    if (!chosen.length) write(view, few, seen + 5, y + 9.5, Math.min(end, view.width) - seen - 8, "#fff", TAG);
  }
  for (const { x, end, broken } of chosen) {
    pen.fillStyle = ink.broken;
    pen.fillRect(x, y + 2, end - x, thick);
    frame(view, x, y + 2, end - x, thick);
    const seen = Math.max(x, view.left);
    write(view, broken.margin, seen + 5, y + 9.5, Math.min(end, view.width) - seen - 8, "#fff", TAG);
  }
}

function drawClocks(view) {
  const { run, pen, ink, left, width, height } = view;
  const top = height - CLOCKS;
  pen.fillStyle = ink.paper;
  pen.fillRect(0, top, width, CLOCKS);
  pen.fillStyle = ink.grid;
  pen.fillRect(0, top, width, 1);
  // Drawn as large as the field, the noise of the measurement would look like a fault.
  let [low, high] = [-20_000, 20_000];
  for (const clock of run.clocks) for (const us of clock.offset_us) [low, high] = [Math.min(low, us), Math.max(high, us)];
  const y = (us) => top + 8 + ((high - us) / (high - low)) * (CLOCKS - 16);
  write(view, "clocks", 8, top + 12, left - 12, ink.quiet);
  write(view, `${signed(high)} …`, 8, top + 30, left - 12, ink.quiet, SMALL);
  write(view, signed(low), 8, top + 46, left - 12, ink.quiet, SMALL);
  clipped(pen, left, top, width - left, CLOCKS, () => {
    run.clocks.forEach((clock, c) => {
      pen.strokeStyle = ink.client[c % 8];
      pen.fillStyle = ink.client[c % 8];
      pen.lineWidth = 1.5;
      pen.beginPath();
      let nearest = -1;
      clock.at_us.forEach((us, i) => {
        if (us <= view.to) nearest = i;
        pen.lineTo(clampX(view, xOf(view, us)), y(clock.offset_us[i]));
      });
      pen.stroke();
      if (nearest < 0) return;
      const at = Math.min(xOf(view, clock.at_us[nearest]), width - 4);
      pen.font = SMALL;
      const wide = pen.measureText(clock.name).width;
      pen.fillText(clock.name, at - wide - 4 - c * 26, y(clock.offset_us[nearest]) + (clock.offset_us[nearest] > (low + high) / 2 ? 8 : -7));
    });
  });
}

function frame(view, x, y, width, height) {
  view.pen.strokeStyle = view.ink.focus;
  view.pen.lineWidth = 2;
  view.pen.strokeRect(x - 1, y - 1, width + 2, height + 2);
}

const isSame = (view, item) =>
  [view.chosen, view.hot].some((other) => other && other.type === item.type && other.i === item.i);
