// Reads the run that record.rs packed: a head in JSON, then columns of numbers.

async function readRun() {
  const packed = Uint8Array.from(atob(document.getElementById("record").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const numbers = columnReader(bytes, 4 + length);
  const ops = readOps(numbers, head);
  return { ...head, ops, holds: readHolds(numbers, head, ops) };
}

// Numbers of seven bits a byte, low ones first, and the ways in which record.rs tells them.
function columnReader(bytes, begin) {
  let at = begin;
  function next() {
    let byte = bytes[at++];
    if (byte < 128) return byte;
    let number = byte & 127;
    let weight = 128;
    do {
      byte = bytes[at++];
      number += (byte & 127) * weight;
      weight *= 128;
    } while (byte >= 128);
    return number;
  }
  const signed = (number) => (number % 2 ? -(number + 1) / 2 : number / 2);
  const difference = () => signed(next());
  function fill(array, read) {
    for (let i = 0; i < array.length; i++) array[i] = read();
    return array;
  }
  function sum(array) {
    let last = 0;
    return fill(array, () => (last += difference()));
  }
  return { next, signed, difference, fill, sum };
}

function readOps({ next, signed, difference, fill, sum }, head) {
  const n = head.ops;
  const t = sum(new Float64Array(n));
  // Where an operation was never answered it lasts to the end of the run.
  const took = fill(new Float64Array(n), () => next() - 1);
  const process = fill(new Uint32Array(n), next);
  const kind = fill(new Uint32Array(n), next);
  const key = fill(new Uint32Array(n), next);
  const node = fill(new Uint32Array(n), next);
  const error = fill(new Uint16Array(n), next);
  const name = () => ({ stem: fill(new Uint32Array(n), next), number: fill(new Float64Array(n), next) });
  const [owner, other, found, made] = [name(), name(), name(), name()];
  const ttl = fill(new Float64Array(n), () => next() - 1);
  let lastToken = 0;
  const token = fill(new Float64Array(n), () => (next() ? (lastToken += difference()) : -1));
  // The number at a name's end is told by its difference from the last one with the same beginning.
  const last = new Map();
  for (let i = 0; i < n; i++) {
    for (const name of [owner, other, found, made]) {
      const told = name.number[i];
      if (told === 0) name.number[i] = -1;
      else {
        const number = (last.get(name.stem[i]) ?? 0) + signed(told - 1);
        last.set(name.stem[i], number);
        name.number[i] = number;
      }
    }
  }
  const end = new Float64Array(n);
  for (let i = 0; i < n; i++) end[i] = took[i] < 0 ? Math.max(head.end_us, t[i]) : t[i] + took[i];
  return { count: n, t, took, end, process, kind, key, node, error, owner, other, found, made, ttl, token };
}

const OUTCOMES = ["ok", "fail", "info", "open"];
const outcomeOf = (ops, i) => ops.kind[i] & 3;

function readHolds({ next, difference, fill, sum }, head, ops) {
  const m = head.holds;
  const acquire = sum(new Float64Array(m));
  const from = acquire.map((op) => ops.end[op]);
  let i = 0;
  const since = () => from[i++] + difference();
  const column = () => ((i = 0), fill(new Float64Array(m), since));
  const promised = column();
  const believed = column();
  const how = fill(new Uint8Array(m), next);
  const gone = column();
  const others = Array.from({ length: m }, (_, hold) => {
    let op = acquire[hold];
    return Array.from({ length: next() }, () => (op += difference()));
  });
  const until = new Float64Array(m);
  const drawn = new Float64Array(m);
  for (let h = 0; h < m; h++) {
    until[h] = Math.max(from[h], how[h] === 0 ? promised[h] : Math.min(gone[h], promised[h]));
    const lost = how[h] > 1 && gone[h] < promised[h] ? promised[h] : 0;
    drawn[h] = Math.max(until[h], believed[h], lost);
  }
  return { count: m, acquire, from, promised, believed, how, gone, others, until, drawn };
}
