// The JavaScript API, as pages use it, on the model of `examples/tiny-llama`.

import init, * as wgr from "/api/wgr_web.js";

const MODEL = "examples/tiny-llama";
const ROWS = [["2 + 2 = 4", 4], ["2 + 2 = 5", 1], ["3 + 3 = 6", 4], ["3 + 3 = 7", 1]];

let opened;
const engine = () => opened ??= init().then(async () => {
  for (const name of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
    await wgr.addFile(`model/${name}`, await (await fetch(`/${MODEL}/${name}`)).blob());
  }
  const rows = ROWS.map(([text, label], i) => JSON.stringify({ id: `${i}`, text, label }) + "\n");
  await wgr.addFile("rows.jsonl", new Blob(rows));
  return await wgr.Engine.open();
});

const check = (holds, what) => {
  if (!holds) throw new Error(what);
};
const refuses = async (what, task, words) => {
  try {
    await task();
  } catch (error) {
    check(error instanceof Error && error.message.includes(words), `${what}: ${error}`);
    return;
  }
  throw new Error(`${what} is not refused`);
};

const settings = {
  model: "model", data: ["rows.jsonl"], "eval-data": ["rows.jsonl"], output: "trained", lr: 1e-2, epochs: 4, "batch-size": 2,
};

export const tests = {
  async a_plan_counts_all_that_a_run_then_allocates() {
    const gpu = await engine();
    const most = wgr.plan(settings);
    let planned;
    await wgr.train(gpu, { ...settings, output: "planned", epochs: 1 }, ({ kind, plan }) => {
      if (kind === "planned") planned = plan;
    });
    check(most.weights > 0 && most.weights === planned.weights && most.optimizer === planned.optimizer, JSON.stringify(most));
    check(most.total >= planned.total, `at most ${most.total}, and ${planned.total} planned`);
    const parts = ["weights", "gradients", "optimizer", "activations", "workspace"].map((name) => most[name]);
    check(parts.reduce((sum, part) => sum + part) === most.total, JSON.stringify(most));
    await refuses("a plan without a model", async () => wgr.plan({ ...settings, model: "no/where/at/all" }), "there is no such model");
  },

  async training_pauses_goes_on_and_leaves_a_model_that_scores() {
    const gpu = await engine();
    const losses = [];
    const hear = (last) => ({ kind, metrics }) => {
      if (kind !== "step") return true;
      losses.push(metrics.loss);
      return metrics.step < last;
    };
    const paused = await wgr.train(gpu, settings, hear(3));
    check(paused.interrupted && paused.steps === 3, `paused: ${JSON.stringify(paused)}`);
    const ended = await wgr.train(gpu, { ...settings, resume: true }, hear(Infinity));
    check(!ended.interrupted && ended.steps === 8, `ended: ${JSON.stringify(ended)}`);
    check(ended.last_loss < paused.first_loss, `the losses are ${losses}`);
    const evaluated = Object.keys(ended.evaluation);
    check(evaluated.some((name) => name.includes("auc")), `evaluated: ${evaluated}`);

    // The same run in one piece gives the same losses.
    const pieces = losses.splice(0);
    await wgr.train(gpu, { ...settings, output: "whole" }, hear(Infinity));
    check(JSON.stringify(losses) === JSON.stringify(pieces), `${losses} in one piece, ${pieces} in two`);

    const files = wgr.listFiles("trained");
    for (const name of ["config.json", "model.safetensors", "tokenizer.json", "metrics.jsonl"]) {
      check(files.includes(`trained/${name}`), `${name} is not among ${files}`);
    }
    const config = JSON.parse(new TextDecoder().decode(wgr.readFile("trained/config.json")));
    check(config.architectures[0] === "LlamaForSequenceClassification", `architectures: ${config.architectures}`);

    const model = wgr.RewardModel.load(gpu, "trained", 2048);
    const batches = [];
    const scores = await model.score(
      [ROWS[0][0], { text: ROWS[1][0] }, { messages: [{ role: "user", content: "2 + 2?" }, { role: "assistant", content: "4" }] }],
      (event) => { batches.push(event); },
    );
    check(scores.length === 3 && scores.every(({ score }) => score > 1 && score < 4), JSON.stringify(scores));
    check(scores[0].score > scores[1].score, `right scores ${scores[0].score}, wrong ${scores[1].score}`);
    check(scores[0].logits.length === 3 && scores[0].probs.length === 3, JSON.stringify(scores[0]));
    check(batches.some(({ kind, done, total }) => kind === "scored" && done === 3 && total === 3), JSON.stringify(batches));
    const [alone] = await model.score([ROWS[1][0]]);
    check(alone.score === scores[1].score, "a score depends on what is scored beside it");
    await refuses("a stopped run", () => model.score(Array(17).fill(ROWS[0][0]), () => false), "stopped");
    model.free();
  },

  async text_comes_piece_by_piece() {
    const gpu = await engine();
    let grown = "";
    const asked = { model: "model", prompt: "2 + 2", raw: true, "max-new-tokens": 8, temperature: 0 };
    const [{ text, tokens }] = await wgr.generate(gpu, asked, ({ kind, piece }) => {
      if (kind === "grew") grown += piece;
    });
    check(tokens > 0 && grown === text, `${JSON.stringify(grown)} grew to ${JSON.stringify(text)}`);
  },

  async mistakes_are_errors_with_a_sentence() {
    const gpu = await engine();
    await refuses("a model that is not there", () => wgr.RewardModel.load(gpu, "no/where/at/all", 64), "there is no such model");
    await refuses("a model of the hub", () => wgr.RewardModel.load(gpu, "owner/name", 64), "choose the files");
    await refuses("a model without a head", () => wgr.RewardModel.load(gpu, "model", 64), "is not a reward model");
    await refuses("an unknown setting", () => wgr.train(gpu, { ...settings, speed: 1 }), "speed");
    await refuses("an output that exists", () => wgr.train(gpu, { ...settings, output: "model" }), "model");
    await refuses("a row of another kind", async () => {
      await wgr.addFile("wrong.jsonl", new Blob(['{"text": 1}\n']));
      await wgr.train(gpu, { ...settings, data: ["wrong.jsonl"], output: "never" });
    }, "wrong.jsonl:1");
    await refuses("parquet", async () => {
      await wgr.addFile("rows.parquet", new Blob(["PAR1"]));
      await wgr.train(gpu, { ...settings, data: ["rows.parquet"], output: "never" });
    }, "parquet");
    wgr.removeFiles("trained");
    await refuses("a file that is gone", async () => wgr.readFile("trained/config.json"), "trained/config.json");
  },
};
