// The engine, beside the page, which stays alive while it works. Takes one call after the other: { id, call, arguments } is
// answered with { id, result } or { id, problem }; what happens meanwhile is told as { id, event }.

import init, * as wgr from "./wgr_web.js";

let engine;
let model;
let stopped = false;

/** Frees the memory of the GPU for what comes now. */
const unload = () => {
  model?.free();
  model = undefined;
};

const calls = {
  async open() {
    await init();
    if (!navigator.gpu) {
      throw new Error("This browser has no WebGPU. Chrome and Edge since 113, Safari since 26 and Firefox since 141 have it; " +
        "on Linux it may have to be switched on.");
    }
    engine = await wgr.Engine.open();
    return engine.name;
  },
  async choose(directory, files) {
    unload();
    wgr.removeFiles(directory);
    for (const { path, file } of files) await wgr.addFile(`${directory}/${path}`, file);
  },
  async load(path, listener) {
    unload();
    model = wgr.RewardModel.load(engine, path, 2048, listener);
  },
  async score(rows, listener) {
    return await model.score(rows, listener);
  },
  async generate(settings, listener) {
    return await wgr.generate(engine, settings, listener);
  },
  async plan(settings) {
    return wgr.plan(settings);
  },
  async train(settings, listener) {
    unload();
    return await wgr.train(engine, settings, listener);
  },
  async files(directory) {
    return wgr.listFiles(directory).map((path) => ({ path: path.slice(directory.length + 1), bytes: wgr.readFile(path) }));
  },
};

let last = Promise.resolve();
onmessage = ({ data: { id, call, args, stop } }) => {
  if (stop) {
    stopped = true;
    return;
  }
  const listener = (event) => {
    postMessage({ id, event });
    return !stopped;
  };
  last = last.then(async () => {
    stopped = false;
    try {
      postMessage({ id, result: await calls[call](...args, listener) });
    } catch (error) {
      postMessage({ id, problem: error.message ?? String(error) });
    }
  });
};
