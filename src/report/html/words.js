// What is looked at, in words.

function span(us) {
  const [amount, unit] = Math.abs(us) < 999_500 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
  return `${Number(amount.toPrecision(3))} ${unit}`;
}
const signed = (us) => (us < 0 ? span(us).replace("-", "−") : `+${span(us)}`);
const instant = (us) => `${(us / 1e6).toFixed(6)} s`;

function nameOf(run, { stem, number }, i) {
  const place = stem[i];
  if (place === 0) return null;
  if (place === 1) return "nobody";
  if (place === 2) return "(not kept)";
  return run.stems[place - 3] + (number[i] < 0 ? "" : number[i]);
}

const processOf = (run, i) => `process ${run.processes[run.ops.process[i] - 1]}`;
// What a run is about that has only one lock or register, and does not name it.
const theKey = (run) => (run.registers ? "the register" : "the lock");
const keyName = (run, i) => run.keys[run.ops.key[i] - 1] || theKey(run);
const nodeOf = (run, i) => run.nodes[run.ops.node[i] - 1] ?? "(not told)";
const ENDS = ["its end was not seen", "given back", "its own client was told that it is gone",
  "the lock was given to another", "a read found it gone", "a watch saw it end"];
const OUTCOME_WORDS = ["ok: it happened", "fail: it certainly did not happen", "info: nobody knows whether it happened",
  "open: never answered before the run ended"];

// What an operation came upon and what it made are called by what it is.
const FOUND = new Map([["acquire", "lease"], ["cas", "value expected"], ["work", "piece of work"]]);
const MADE = new Map([["work", "made or read"]]);

const opName = (run, i) => run.names[(run.ops.kind[i] >> 3) - 1] ?? "operation";

// What an operation did, in a few words.
function deed(run, i) {
  const name = opName(run, i);
  const [found, made] = [nameOf(run, run.ops.found, i), nameOf(run, run.ops.made, i)];
  if (name === "acquire") return name;
  if (found !== null && made !== null) return name === "cas" ? `${found} → ${made}` : `${name} ${found}, ${made}`;
  return `${name} ${found ?? made ?? ""}`.trimEnd();
}

function opInWords(run, i) {
  const { ops } = run;
  const name = opName(run, i);
  const error = run.errors[ops.error[i] - 1];
  const isFlagged = (ops.kind[i] & 4) !== 0;
  const rows = [
    ["what", `${name}${isFlagged ? (name === "read" ? " (promised to be current)" : " (waits for the lock)") : ""}`],
    ["number", `${i}`],
    ["process", processOf(run, i)],
    ["server asked", nodeOf(run, i)],
    [run.registers ? "register" : "lock", keyName(run, i)],
    ["asked at", instant(ops.t[i])],
    ["answered at", ops.took[i] < 0 ? "never" : `${instant(ops.end[i])}, after ${span(ops.took[i])}`],
    ["outcome", OUTCOME_WORDS[outcomeOf(ops, i)]],
    ["as", nameOf(run, ops.owner, i)],
    ["seen to hold it", nameOf(run, ops.other, i)],
    [FOUND.get(name) ?? "value read", nameOf(run, ops.found, i)],
    [MADE.get(name) ?? "value written", nameOf(run, ops.made, i)],
    ["TTL granted", ops.ttl[i] < 0 ? null : span(ops.ttl[i] * 1e3)],
    ["fencing token", ops.token[i] < 0 ? null : `${ops.token[i]}`],
    ["error", error ? `${error[0]}${error[1] ? `: ${error[1]}` : ""}` : null],
  ];
  return { title: `${deed(run, i)} of ${processOf(run, i)}, ${OUTCOMES[outcomeOf(ops, i)]}`, rows };
}

function holdInWords(run, h) {
  const { holds, ops } = run;
  const op = holds.acquire[h];
  const renewals = holds.others[h].filter((other) => outcomeOf(ops, other) === 0 && ops.ttl[other] >= 0);
  const lost = holds.how[h] > 1 && holds.gone[h] < holds.promised[h];
  const last = renewals.at(-1);
  return {
    title: `${processOf(run, op)} holds ${keyName(run, op)}`,
    rows: [
      ["granted by", instant(holds.from[h])],
      ["server", nodeOf(run, op)],
      ["TTL", span(ops.ttl[op] * 1e3)],
      ["renewals", last === undefined ? "none" : `${renewals.length}, the last at ${instant(ops.end[last])} by ${nodeOf(run, last)}`],
      ["promised until", instant(holds.promised[h])],
      ["may be believed until", holds.believed[h] > holds.from[h] ? instant(holds.believed[h]) : "never"],
      ["how it ended", holds.how[h] ? `${ENDS[holds.how[h]]}, at ${instant(holds.gone[h])}` : ENDS[0]],
      ["too early by", lost ? span(holds.promised[h] - holds.gone[h]) : null],
      ["as", nameOf(run, ops.owner, op)],
      ["operation", `${op}`],
    ],
  };
}

function brokenInWords(run, i) {
  const broken = run.anomalies[i];
  return {
    title: `${broken.kind}${broken.proven ? "" : " (possible, not proven)"}: ${broken.margin}`,
    rows: [
      ["what", broken.told || null],
      [run.registers ? "register" : "lock", run.keys[broken.key] || theKey(run)],
      ["before that answer", broken.states?.[0] ?? null],
      ["by that answer", broken.states?.[1] ?? null],
      ["from", instant(broken.from_us)],
      ["until", instant(broken.until_us)],
      ["operations", broken.ops.slice(0, 20).join(", ")],
    ],
  };
}

function faultInWords(run, i) {
  return { title: run.faults[i].what, rows: [["fault", run.faults[i].package], ["what was done", run.faults[i].told]] };
}

function inWords(run, { type, i }) {
  return { op: opInWords, hold: holdInWords, broken: brokenInWords, fault: faultInWords }[type](run, i);
}

// Every text goes into the page as text, never as markup.
function tell(box, words) {
  const title = document.createElement("strong");
  title.textContent = words.title;
  const list = document.createElement("dl");
  for (const [name, value] of words.rows.filter(([, value]) => value !== null)) {
    const pair = document.createElement("div");
    for (const [tag, text] of [["dt", name], ["dd", value]]) {
      pair.appendChild(document.createElement(tag)).textContent = text;
    }
    list.append(pair);
  }
  box.replaceChildren(title, list);
}
