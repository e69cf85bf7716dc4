// Lanes: one for each lock, or one for each process, with all that is drawn in it.

const ROW = 18;
const ROWS_MAX = 6;
const STRIP = 12;
const BREAK = 20;

function lanesByLock(run) {
  const lanes = run.keys.map((name, i) => newLane(name === "" ? theKey(run) : name, i + 1, i));
  shareOut(run.ops.count, run.ops.key, lanes, "ops");
  const keyOf = Uint32Array.from(run.holds.acquire, (op) => run.ops.key[op]);
  shareOut(run.holds.count, keyOf, lanes, "holds");
  run.anomalies.forEach((broken, i) => {
    const lane = lanes[broken.key];
    if (lane) lane.breaks.push(i);
  });
  for (const lane of lanes) {
    stack(run, lane);
    const proven = lane.breaks.some((i) => run.anomalies[i].proven);
    lane.rank = proven ? 0 : lane.breaks.length ? 1 : 2;
    lane.top = lane.breaks.length ? BREAK : 4;
    lane.height = lane.top + lane.rows * ROW + (lane.ops.length ? STRIP : 0) + 6;
  }
  lanes.sort((a, b) => a.rank - b.rank || a.name.localeCompare(b.name, "en", { numeric: true }));
  return place(lanes);
}

function lanesByProcess(run) {
  const lanes = run.processes.map((process, i) => newLane(`process ${process}`, i + 1, process));
  shareOut(run.ops.count, run.ops.process, lanes, "ops");
  for (const lane of lanes) {
    lane.top = 4;
    lane.height = 26;
  }
  lanes.sort((a, b) => a.id - b.id);
  return place(lanes.filter((lane) => lane.ops.length));
}

// A lane's place is that by which operations name it, from 1 on.
function newLane(name, place, id) {
  const none = new Uint32Array(0);
  return { name, place, id, ops: none, holds: none, breaks: [], rowOf: new Uint8Array(0), rows: 0, rank: 2 };
}

// Gives each lane its part of `count` things, in their order; thing i belongs to lane `owner[i] - 1`.
function shareOut(count, owner, lanes, field) {
  const sizes = new Uint32Array(lanes.length + 1);
  for (let i = 0; i < count; i++) sizes[owner[i]]++;
  lanes.forEach((lane, l) => (lane[field] = new Uint32Array(sizes[l + 1])));
  sizes.fill(0);
  for (let i = 0; i < count; i++) {
    const lane = lanes[owner[i] - 1];
    if (lane) lane[field][sizes[owner[i]]++] = i;
  }
}

// Puts holds that overlap on rows of their own. Where there are too many they share the row that is free the soonest.
function stack({ holds }, lane) {
  const free = [];
  lane.rowOf = new Uint8Array(lane.holds.length);
  lane.holds.forEach((hold, i) => {
    let row = free.findIndex((until) => until <= holds.from[hold]);
    if (row < 0 && free.length < ROWS_MAX) row = free.push(0) - 1;
    if (row < 0) row = free.indexOf(Math.min(...free));
    free[row] = Math.max(free[row], holds.drawn[hold]);
    lane.rowOf[i] = row;
  });
  lane.rows = free.length;
}

function place(lanes) {
  let y = 0;
  for (const lane of lanes) {
    lane.y = y;
    y += lane.height + 4;
  }
  return { lanes, height: y };
}

// Of each block of operations when the last of them ends, so that whole blocks can be passed over.
const BLOCK = 512;
function blockEnds(ops, indices) {
  const ends = new Float64Array(Math.ceil(indices.length / BLOCK));
  indices.forEach((op, i) => (ends[(i / BLOCK) | 0] = Math.max(ends[(i / BLOCK) | 0], ops.end[op])));
  return ends;
}

// Calls `visit` with each operation of a lane that lies in a window of time.
function eachOp(ops, lane, from, to, visit) {
  lane.blocks ??= blockEnds(ops, lane.ops);
  for (let b = 0; b < lane.blocks.length; b++) {
    if (lane.blocks[b] < from) continue;
    const stop = Math.min((b + 1) * BLOCK, lane.ops.length);
    for (let i = b * BLOCK; i < stop; i++) {
      const op = lane.ops[i];
      if (ops.t[op] > to) return;
      if (ops.end[op] >= from) visit(op);
    }
  }
}
