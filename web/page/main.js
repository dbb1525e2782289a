// The page: forms in, calls of the engine in the worker, and what they come to.

import { tar } from "./tar.js";

const find = (name) => document.getElementById(name);
const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let calls = 0;

/** Calls the engine; `onEvent` hears what happens meanwhile. */
const call = (name, args = [], onEvent = () => {}) => new Promise((resolve, reject) => {
  calls += 1;
  waiting.set(calls, { resolve, reject, onEvent });
  worker.postMessage({ id: calls, call: name, args });
});

worker.onmessage = ({ data: { id, event, result, problem } }) => {
  const call = waiting.get(id);
  if (event) {
    if (event.kind === "note") log(event.line);
    call.onEvent(event);
    return;
  }
  waiting.delete(id);
  if (problem === undefined) call.resolve(result);
  else call.reject(new Error(problem));
};
worker.onerror = ({ message }) => {
  const ended = new Error(`The engine has ended: ${message}. Load the page again.`);
  waiting.forEach(({ reject }) => reject(ended));
  waiting.clear();
  fail(ended);
};

const log = (line) => { find("log").textContent += `${line}\n`; };
const say = (line) => { find("status").textContent = line; };
const fail = (error) => {
  say("That did not work.");
  find("problem").textContent = error.message;
  find("problem").hidden = false;
};

/** Does something that a button of a form asked for. */
const work = async (form, task) => {
  find("problem").hidden = true;
  const buttons = document.querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = !(form?.contains(button) && button.classList.contains("stop")); });
  try {
    await task();
  } catch (error) {
    fail(error);
  } finally {
    buttons.forEach((button) => { button.disabled = button.classList.contains("stop"); });
    find("resume").disabled = !paused;
    find("download").disabled = !trained;
  }
};

document.querySelectorAll(".stop").forEach((button) => {
  button.onclick = () => worker.postMessage({ stop: true });
});

// A model.

let path;
let isLoaded = false;
let paused = false;
let trained = false;
const choose = async (files, name, found) => {
  path = undefined;
  isLoaded = paused = trained = false;
  say(`Reading ${name}…`);
  await call("choose", ["model", files]);
  path = found;
  find("model").textContent = name;
  say("Ready.");
};

find("directory").onchange = ({ target }) => work(null, async () => {
  const all = [...target.files];
  if (all.length === 0) return;
  const files = all.map((file) => ({ path: file.webkitRelativePath.split("/").slice(1).join("/"), file }));
  await choose(files, all[0].webkitRelativePath.split("/")[0], "model");
});
find("gguf").onchange = ({ target }) => work(null, async () => {
  const all = [...target.files];
  if (all.length === 0) return;
  await choose(all.map((file) => ({ path: file.name, file })), all[0].name, `model/${all[0].name}`);
});

const chosen = () => {
  if (!path) throw new Error("Choose a model first.");
  return path;
};
const load = async () => {
  if (!isLoaded) {
    say("Loading the model…");
    // Whoever has trained a model wants its scores.
    await call("load", [trained ? "trained" : chosen()]);
    isLoaded = true;
  }
};

// Scores.

const exchange = (prompt, response) => ({
  messages: [{ role: "user", content: prompt }, { role: "assistant", content: response }],
});

find("score").onsubmit = (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  work(form, async () => {
    const { prompt, a, b } = Object.fromEntries(new FormData(form));
    await load();
    const responses = b.trim() ? { A: a, B: b } : { A: a };
    const scores = await call("score", [Object.values(responses).map((response) => exchange(prompt, response))]);
    const rows = Object.keys(responses).map((name, row) => {
      const tr = document.createElement("tr");
      const numbers = [scores[row].score.toFixed(3), ...scores[row].probs.map((p, k) => `> ${k + 1}: ${(100 * p).toFixed(1)} %`)];
      tr.innerHTML = "<th scope=row></th>" + "<td></td>".repeat(numbers.length);
      [name, ...numbers].forEach((text, cell) => { tr.cells[cell].textContent = text; });
      return tr;
    });
    find("scores").tBodies[0].replaceChildren(...rows);
    find("scores").hidden = false;
    say(scores.length < 2 ? "Scored." : `Response ${scores[0].score >= scores[1].score ? "A" : "B"} scores higher.`);
  });
};

find("rows").onsubmit = (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  work(form, async () => {
    const file = new FormData(form).get("file");
    await load();
    const rows = (await file.text()).split("\n").map((line, i) => [line.trim(), i + 1]).filter(([line]) => line).map(([line, i]) => {
      try {
        return JSON.parse(line);
      } catch (error) {
        throw new Error(`${file.name}:${i}: ${error.message}`);
      }
    });
    const bar = find("scored");
    bar.hidden = false;
    say("Scoring…");
    const scores = await call("score", [rows], ({ kind, done, total }) => {
      if (kind === "scored") [bar.value, bar.max] = [done, total];
    });
    const lines = scores.map((score, i) => JSON.stringify({ id: rows[i].id ?? `${i}`, ...score }) + "\n");
    save(new Blob(lines), "scores.jsonl");
    say(`Scored ${scores.length} rows.`);
  });
};

// Text.

find("generate").onsubmit = (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  work(form, async () => {
    const { prompt, tokens, raw } = Object.fromEntries(new FormData(form));
    const settings = { model: chosen(), prompt, "max-new-tokens": Number(tokens), raw: raw === "on" };
    const output = find("text");
    output.textContent = "";
    say("Generating…");
    const [{ text, finish_reason }] = await call("generate", [settings], ({ kind, piece }) => {
      if (kind === "grew") output.textContent += piece;
    });
    output.textContent = text;
    say(finish_reason === "length" ? "The text has as many tokens as it may." : "The text has ended.");
  });
};

// Training.

const train = (form, resume) => work(form, async () => {
  const fields = Object.fromEntries(new FormData(form));
  const files = [["train.jsonl", fields.file], ["eval.jsonl", fields["held-out"]]].filter(([, file]) => file?.size);
  await call("choose", ["data", files.map(([path, file]) => ({ path, file }))]);
  const settings = {
    model: chosen(),
    data: ["data/train.jsonl"],
    "eval-data": files.length > 1 ? ["data/eval.jsonl"] : [],
    output: "trained",
    objective: fields.objective,
    lr: Number(fields.lr),
    resume,
    force: !resume,
  };
  for (const name of ["epochs", "batch-size", "max-length"]) settings[name] = Number(fields[name]);
  isLoaded = trained = false;
  if (!resume) losses.length = 0;
  say("Training…");
  const summary = await call("train", [settings], ({ kind, bytes, metrics, total }) => {
    if (kind === "planned") log(`memory on the GPU: ${(bytes / 2 ** 20).toFixed(1)} MiB`);
    if (kind === "training") steps = total;
    if (kind === "step") draw(metrics.loss);
    if (kind === "evaluated") find("trained").textContent = evaluated(metrics);
  });
  paused = summary.interrupted;
  trained = !paused;
  say(paused ? `Paused after ${summary.steps} steps.` : `Trained ${summary.steps} steps; the last loss is ${summary.last_loss.toFixed(4)}. It scores above.`);
});
find("train").onsubmit = (submitted) => {
  submitted.preventDefault();
  train(submitted.target, false);
};
find("resume").onclick = () => train(find("train"), true);
find("download").onclick = () => work(null, async () => {
  const files = await call("files", ["trained"]);
  save(tar(files.filter(({ path }) => !path.startsWith("checkpoints/")), "reward-model"), "reward-model.tar");
});

let steps = 1;
const losses = [];
const draw = (loss) => {
  losses.push(loss);
  const most = Math.max(...losses, 1e-9);
  const points = losses.map((loss, i) => `${(600 * (i + 1)) / steps},${200 - (190 * loss) / most}`);
  const chart = find("losses");
  chart.hidden = false;
  chart.querySelector("polyline").setAttribute("points", points.join(" "));
  find("trained").textContent = `Step ${losses.length} of ${steps}: loss ${loss.toFixed(4)}`;
};
const evaluated = (metrics) => Object.entries(metrics)
  .filter(([, value]) => typeof value === "number")
  .map(([name, value]) => `${name} ${value.toFixed(4)}`).join(", ");

const save = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
};

work(null, async () => {
  try {
    const name = await call("open");
    say(`Ready${name ? ` on ${name}` : ""}.`);
  } catch (error) {
    say("The engine cannot run here.");
    throw error;
  }
});
