// The page: forms in, calls of the engine, and what they come to.

import { call, onEnd, stop } from "./engine.js";
import { tar } from "./tar.js";

const find = (name) => document.getElementById(name);
const log = (line) => { find("log").textContent += `${line}\n`; };
const say = (line) => { find("status").textContent = line; };
const fail = (error) => {
  say("That did not work.");
  find("problem").textContent = error.message;
  find("problem").hidden = false;
};
onEnd(fail);

/** Calls the engine, and keeps what it notes. */
const ask = (name, args, onEvent = () => {}) => call(name, args, (event) => {
  if (event.kind === "note") log(event.line);
  onEvent(event);
});

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

const onSubmit = (name, task) => {
  find(name).onsubmit = (submitted) => {
    submitted.preventDefault();
    work(submitted.target, () => task(submitted.target, Object.fromEntries(new FormData(submitted.target))));
  };
};
document.querySelectorAll(".stop").forEach((button) => { button.onclick = stop; });

// A model.

/** What is chosen: where it scores from, where it trains from, and the rows that came with it. */
let model;
let isLoaded = false;
let paused = false;
let trained = false;
const choose = async (files, name, found) => {
  model = undefined;
  isLoaded = paused = trained = false;
  say(`Reading ${name}…`);
  await ask("choose", ["model", files]);
  model = found;
  find("model").textContent = name;
  for (const input of document.querySelectorAll("#train [type=file]")) input.required = !found.data && input.name === "file";
  await plan();
  say("Ready.");
};

find("directory").onchange = ({ target }) => work(null, async () => {
  const all = [...target.files];
  if (all.length === 0) return;
  const files = all.map((file) => ({ path: file.webkitRelativePath.split("/").slice(1).join("/"), file }));
  await choose(files, all[0].webkitRelativePath.split("/")[0], { scores: "model", trains: "model" });
});
find("gguf").onchange = ({ target }) => work(null, async () => {
  const all = [...target.files];
  if (all.length === 0) return;
  const path = `model/${all[0].name}`;
  await choose(all.map((file) => ({ path: file.name, file })), all[0].name, { scores: path, trains: path });
});
find("demo").onclick = () => work(null, async () => {
  say("Reading the model of the demo…");
  const { files, settings } = await (await fetch("demo/demo.json")).json();
  const read = async (path) => ({ path, file: await (await fetch(`demo/${path}`)).blob() });
  for (const [name, value] of Object.entries(settings)) find("train").elements[name].value = value;
  const all = await Promise.all(files.map(read));
  await choose(all, "that of the demo, a few layers trained on synthetic chats", {
    scores: "model/reward-model", trains: "model/new-model", data: ["model/rows/train.jsonl", "model/rows/test.jsonl"],
  });
  suggest(await all.find(({ path }) => path === "rows/test.jsonl").file.text());
});

/** Fills in what may be scored: of some rated responses one of the best, and one of the worst. */
const suggest = (lines) => {
  const rows = lines.trim().split("\n").map((line) => JSON.parse(line)).sort((a, b) => b.label - a.label);
  const [best, worst] = [rows[0], rows.at(-1)].map(({ messages }) => messages);
  const fields = find("score").elements;
  [fields.prompt.value, fields.a.value, fields.b.value] = [best[0].content, best[1].content, worst[1].content];
};

const chosen = () => {
  if (!model) throw new Error("Choose a model first.");
  return model;
};
const load = async () => {
  if (!isLoaded) {
    say("Loading the model…");
    // Whoever has trained a model wants its scores.
    await ask("load", [trained ? "trained" : chosen().scores]);
    isLoaded = true;
  }
};

// Scores.

const exchange = (prompt, response) => ({
  messages: [{ role: "user", content: prompt }, { role: "assistant", content: response }],
});
const element = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
/** Shows the scores of responses, by their names. */
const show = (names, scores) => {
  const titles = ["score", ...scores[0].probs.map((_, k) => `> ${k + 1}`)];
  const rows = scores.map(({ score, probs }, i) => {
    const texts = [score.toFixed(3), ...probs.map((p) => `${(100 * p).toFixed(1)} %`)];
    const name = element("th", { scope: "row" }, names[i]);
    return element("tr", {}, name, ...texts.map((text) => element("td", {}, text)));
  });
  const heads = titles.map((title) => element("th", { scope: "col" }, title));
  find("scores").tHead.replaceChildren(element("tr", {}, element("td"), ...heads));
  find("scores").tBodies[0].replaceChildren(...rows);
  find("scores").hidden = false;
};

onSubmit("score", async (form, { prompt, a, b }) => {
  await load();
  const responses = b.trim() ? { A: a, B: b } : { A: a };
  const scores = await ask("score", [Object.values(responses).map((response) => exchange(prompt, response))]);
  show(Object.keys(responses), scores);
  const [first, second] = scores.map(({ score }) => score);
  if (second === undefined) say("Scored.");
  else say(first === second ? "Both responses score the same." : `Response ${first > second ? "A" : "B"} scores higher.`);
});

onSubmit("rows", async (form, { file }) => {
  await load();
  const lines = (await file.text()).split("\n").map((line, i) => [line.trim(), i + 1]).filter(([line]) => line);
  const rows = lines.map(([line, number]) => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw new Error(`${file.name}:${number}: ${error.message}`);
    }
  });
  const bar = find("scored");
  bar.value = 0;
  bar.hidden = false;
  say("Scoring…");
  const scores = await ask("score", [rows], ({ kind, done, total }) => {
    if (kind === "scored") [bar.value, bar.max] = [done, total];
  });
  save(new Blob(scores.map((score, i) => `${JSON.stringify({ id: rows[i].id ?? `${i}`, ...score })}\n`)), "scores.jsonl");
  say(`Scored ${scores.length} rows.`);
});

// Text.

onSubmit("generate", async (form, { prompt, tokens, raw }) => {
  const settings = { model: chosen().scores, prompt, "max-new-tokens": Number(tokens), raw: raw === "on" };
  const output = find("text");
  output.textContent = "";
  say("Generating…");
  const [{ text, finish_reason }] = await ask("generate", [settings], ({ kind, piece }) => {
    if (kind === "grew") output.textContent += piece;
  });
  output.textContent = text;
  say(finish_reason === "length" ? "The text has as many tokens as it may." : "The text has ended.");
});

// Training.

const NUMBERS = ["epochs", "lr", "batch-size", "max-length"];
const settings = (fields) => ({
  model: chosen().trains,
  output: "trained",
  objective: fields.objective,
  ...Object.fromEntries(NUMBERS.map((name) => [name, Number(fields[name])])),
});

/** Says what a run with the settings in the form needs. */
const plan = async () => {
  if (!model) return;
  try {
    const { total, tokens } = await ask("plan", [settings(Object.fromEntries(new FormData(find("train"))))]);
    find("plan").textContent = `Training needs up to ${(total / 2 ** 20).toFixed(1)} MiB of the GPU's memory, for ${tokens} tokens at a time.`;
  } catch (error) {
    find("plan").textContent = `Training cannot start: ${error.message}`;
  }
};
find("train").onchange = plan;

const train = async (resume) => {
  const fields = Object.fromEntries(new FormData(find("train")));
  let [data, heldOut] = chosen().data ?? [];
  const files = [["train.jsonl", fields.file], ["held-out.jsonl", fields["held-out"]]].filter(([, file]) => file.size);
  if (fields.file.size) {
    await ask("choose", ["data", files.map(([path, file]) => ({ path, file }))]);
    data = "data/train.jsonl";
    heldOut = files.length > 1 ? "data/held-out.jsonl" : undefined;
  }
  isLoaded = trained = false;
  if (!resume) losses.length = 0;
  say("Training…");
  const run = { ...settings(fields), data: [data], "eval-data": heldOut ? [heldOut] : [], resume, force: !resume };
  const summary = await ask("train", [run], ({ kind, metrics, total }) => {
    if (kind === "training") steps = total;
    if (kind === "step") draw(metrics.loss);
    if (kind === "evaluated") find("evaluated").textContent = `On rows that it was not trained on: ${named(metrics)}`;
  });
  paused = summary.interrupted;
  trained = !paused;
  say(paused ? `Paused after ${summary.steps} steps.`
    : `Trained ${summary.steps} steps; the last loss is ${summary.last_loss.toFixed(4)}. The trained model scores from now on.`);
};
onSubmit("train", () => train(false));
find("resume").onclick = () => work(find("train"), () => train(true));
find("download").onclick = () => work(null, async () => {
  const files = await ask("files", ["trained"]);
  save(tar(files.filter(({ path }) => !path.startsWith("checkpoints/")), "reward-model"), "reward-model.tar");
  say("Unpack it with `tar -xf reward-model.tar`; then `wgr score --model reward-model` and `transformers` load it.");
});

let steps = 1;
const losses = [];
const draw = (loss) => {
  losses.push(loss);
  const most = Math.max(...losses, 1e-9);
  const points = losses.map((loss, i) => `${(600 * (i + 1)) / steps},${200 - (190 * loss) / most}`);
  const chart = find("losses");
  // Not `hidden`, a property that elements of SVG lack.
  chart.removeAttribute("hidden");
  chart.querySelector("polyline").setAttribute("points", points.join(" "));
  find("trained").textContent = `Step ${losses.length} of ${steps}: loss ${loss.toFixed(4)}`;
};
const named = (metrics) => Object.entries(metrics)
  .filter(([, value]) => typeof value === "number")
  .map(([name, value]) => `${name.replace("eval/", "")} ${Number.isInteger(value) ? value : value.toFixed(4)}`).join(", ");

const save = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

work(null, async () => {
  try {
    const name = await ask("open");
    say(`Ready${name ? ` on ${name}` : ""}.`);
  } catch (error) {
    say("The engine cannot run here.");
    throw error;
  }
});
