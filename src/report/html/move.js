// Mouse, touch and keys.

async function start() {
  const note = document.getElementById("told");
  const idle = note.textContent;
  const run = await readRun();
  const canvas = document.getElementById("canvas");
  const box = canvas.parentElement;
  const view = newView(canvas, run);
  const layouts = { locks: lanesByLock(run) };
  const least = 20;
  let waiting = false;

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(view);
    });
  }

  function show(mode) {
    layouts[mode] ??= lanesByProcess(run);
    [view.mode, view.layout] = [mode, layouts[mode]];
    const wanted = view.header + view.layout.height + view.footer + 8;
    box.style.height = `${Math.min(wanted, Math.max(320, window.innerHeight * 0.72))}px`;
    document.getElementById("room").style.height = `${wanted}px`;
    view.scroll = box.scrollTop = 0;
    for (const button of document.querySelectorAll("[data-lanes]")) {
      button.setAttribute("aria-pressed", String(button.dataset.lanes === mode));
    }
    redraw();
  }

  function look(from, to) {
    const length = Math.min(Math.max(to - from, least), longest());
    const first = -length * 0.02;
    view.from = Math.max(first, Math.min(from, latest() - length));
    view.to = view.from + length;
    redraw();
  }
  // A promise may reach beyond the end of the run.
  const latest = () => run.end_us * 1.02 + reach;
  const longest = () => latest() * 1.04;
  const beyond = run.anomalies.filter((broken) => broken.proven).reduce((max, { until_us }) => Math.max(max, until_us), 0);
  const reach = Math.min(Math.max(0, beyond - run.end_us), run.end_us);
  const whole = () => look(-run.end_us * 0.01, run.end_us * 1.01);
  const zoom = (factor, at = (view.from + view.to) / 2) => look(at - (at - view.from) * factor, at + (view.to - at) * factor);
  const pan = (share) => look(view.from + (view.to - view.from) * share, view.to + (view.to - view.from) * share);

  function choose(item) {
    view.chosen = item;
    if (item) tell(note, inWords(run, item));
    else note.textContent = idle;
    redraw();
  }

  function scrollTo(lane) {
    if (!lane) return;
    const room = view.height - view.header - view.footer;
    if (lane.y < view.scroll || lane.y + lane.height > view.scroll + room) box.scrollTop = lane.y - Math.max(0, (room - lane.height) / 2);
  }

  const sure = run.anomalies.map((_, i) => i).filter((i) => run.anomalies[i].proven);
  const tour = (sure.length ? sure : run.anomalies.map((_, i) => i))
    .sort((a, b) => run.anomalies[a].from_us - run.anomalies[b].from_us);

  function visit(i) {
    const broken = run.anomalies[i];
    if (!broken) return;
    // What cannot be ordered is a matter between processes; whatever else is broken is so for a lock.
    const mode = broken.kind === "nonlinearizable" ? "processes" : "locks";
    if (view.mode !== mode) show(mode);
    const margin = Math.max(broken.until_us - broken.from_us, 1000);
    const near = broken.ops.filter((op) => op < run.ops.count).map((op) => run.ops.t[op]).filter((t) => t > broken.from_us - 2 * margin);
    const from = Math.min(broken.from_us, ...near);
    const pad = (broken.until_us - from) * 0.2 + 500;
    look(from - pad, broken.until_us + pad);
    const first = broken.ops.find((op) => op < run.ops.count);
    scrollTo(view.layout.lanes.find((lane) => lane.breaks.includes(i) || (mode === "processes" && lane.place === run.ops.process[first])));
    choose({ type: "broken", i });
  }

  function next(step) {
    if (!tour.length) return choose(null);
    const at = view.chosen?.type === "broken" ? tour.indexOf(view.chosen.i) : step > 0 ? -1 : 0;
    visit(tour[(at + step + tour.length) % tour.length]);
  }

  function nextOp(step) {
    const lanes = view.layout.lanes;
    const chosen = view.chosen?.type === "op" ? view.chosen.i : view.chosen?.type === "hold" ? run.holds.acquire[view.chosen.i] : -1;
    const lane = (chosen >= 0 && lanes.find((lane) => lane.ops.includes(chosen))) || lanes.find((lane) => lane.y >= view.scroll && lane.ops.length);
    if (!lane) return;
    const at = lane.ops.indexOf(chosen);
    const first = lane.ops.findIndex((op) => run.ops.t[op] >= view.from);
    const op = at >= 0 ? lane.ops[at + step] : lane.ops[Math.max(first, 0)];
    if (op === undefined) return;
    const t = run.ops.t[op];
    if (t < view.from || t > view.to) look(t - (view.to - view.from) / 2, t + (view.to - view.from) / 2);
    scrollTo(lane);
    choose({ type: "op", i: op });
  }

  function itemAt(x, y) {
    const t = timeAt(view, x);
    const slack = (3 / (view.width - view.left)) * (view.to - view.from);
    if (y < view.header) {
      const row = Math.floor((y - RULER) / BAND);
      const i = run.faults.findLastIndex((fault, i) => view.bands[i] === row && fault.from_us <= t + slack && fault.until_us >= t - slack);
      return i < 0 ? null : { type: "fault", i };
    }
    if (y > view.height - view.footer) return null;
    const below = y - view.header + view.scroll;
    const lane = view.layout.lanes.find((lane) => below >= lane.y && below < lane.y + lane.height);
    if (!lane || x < view.left) return null;
    const inside = below - lane.y;
    if (inside < lane.top) {
      const i = lane.breaks.find((i) => run.anomalies[i].from_us <= t + slack && run.anomalies[i].until_us >= t - slack);
      return i === undefined ? null : { type: "broken", i };
    }
    const row = Math.floor((inside - lane.top) / ROW);
    if (row < lane.rows) {
      const at = lane.holds.findLastIndex((hold, i) => lane.rowOf[i] === row && run.holds.from[hold] <= t + slack && run.holds.drawn[hold] >= t - slack);
      return at < 0 ? null : { type: "hold", i: lane.holds[at] };
    }
    let found = null;
    eachOp(run.ops, lane, t - slack, t + slack, (op) => {
      // Of those that lie here the rarest outcome is the one to look at, then the latest.
      if (found === null || outcomeOf(run.ops, op) >= outcomeOf(run.ops, found)) found = op;
    });
    return found === null ? null : { type: "op", i: found };
  }

  function hover(item) {
    const changed = item?.type !== view.hot?.type || item?.i !== view.hot?.i;
    view.hot = item;
    if (!changed) return;
    box.style.cursor = item ? "pointer" : "";
    const shown = item ?? view.chosen;
    if (shown) tell(note, inWords(run, shown));
    redraw();
  }

  const place = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  };
  const pointers = new Map();
  let dragged = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, place(event));
    dragged = 0;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) return hover(itemAt(x, y));
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const factor = Math.abs(before[0] - other[0]) / Math.max(1, Math.abs(x - other[0]));
      if (Number.isFinite(factor) && factor > 0) zoom(Math.min(2, Math.max(0.5, factor)), timeAt(view, other[0]));
    } else {
      const shift = timeAt(view, before[0]) - timeAt(view, x);
      if (x !== before[0]) look(view.from + shift, view.to + shift);
      if (event.pointerType === "mouse") box.scrollTop -= y - before[1];
    }
    dragged += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    pointers.set(event.pointerId, [x, y]);
  });
  const lift = (event) => {
    if (pointers.delete(event.pointerId) && dragged < 6 && event.type === "pointerup") choose(itemAt(...place(event)));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("dblclick", (event) => zoom(0.4, timeAt(view, place(event)[0])));
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      event.preventDefault();
      zoom(Math.exp(event.deltaY * 0.003), timeAt(view, place(event)[0]));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      pan((event.deltaX || event.deltaY) / (view.width - view.left));
    }
  }, { passive: false });
  box.addEventListener("scroll", () => {
    view.scroll = box.scrollTop;
    redraw();
  });

  const deeds = {
    earlier: () => pan(-0.25), later: () => pan(0.25), in: () => zoom(0.5), out: () => zoom(2), whole,
    next: () => next(1), previous: () => next(-1),
  };
  const keys = {
    ArrowLeft: deeds.earlier, ArrowRight: deeds.later, "+": deeds.in, "=": deeds.in, "-": deeds.out, 0: whole,
    n: deeds.next, p: deeds.previous, ".": () => nextOp(1), ",": () => nextOp(-1), Escape: () => choose(null),
  };
  box.addEventListener("keydown", (event) => {
    const deed = keys[event.key];
    if (!deed || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    deed();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.do) deeds[button.dataset.do]();
    if (button.dataset.lanes) show(button.dataset.lanes);
    if (button.dataset.go) {
      document.getElementById("timeline").scrollIntoView();
      box.focus({ preventScroll: true });
      visit(Number(button.dataset.go));
    }
    if (button.dataset.copy !== undefined) {
      navigator.clipboard?.writeText(document.getElementById("command").textContent).then(() => (button.textContent = "Copied"));
    }
  });
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", () => draw(view));
  }
  new ResizeObserver(redraw).observe(box);

  for (const button of document.querySelectorAll("[data-do=next], [data-do=previous]")) button.disabled = !tour.length;
  // Nobody holds a register.
  show(run.registers ? "processes" : "locks");
  whole();
  draw(view);
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  document.getElementById("told").textContent = `The timeline cannot be shown: ${error.message}`;
  document.documentElement.dataset.ready = "no";
});
