// Runs the tests from number `from` on whose names contain one of the words in `only`, and reports them to the server.
// After a failure the page is loaded anew, as the engine may have ended with it.

import init, { addFile, tests } from "./wgr_web_tests.js";
import { tests as ofApi } from "./api.js";

let reports = Promise.resolve();
const report = (line) => {
  reports = reports.then(() => fetch("/report", { method: "POST", body: JSON.stringify(line) }));
};
globalThis.say = (line) => report({ print: line });

/** All tests, as pairs of a name and a function. */
const all = async () => {
  const engine = await init();
  for (const path of await (await fetch("/files.json")).json()) {
    addFile(path, new Uint8Array(await (await fetch(path)).arrayBuffer()));
  }
  const run = WebAssembly.promising(engine.run);
  const ofEngine = tests().map((name, number) => [name, () => run(number)]);
  return [...Object.entries(ofApi).map(([name, test]) => [`api::${name}`, test]), ...ofEngine];
};

const wanted = new URLSearchParams(location.search);
const only = wanted.getAll("only");
const isWanted = (name) => only.length === 0 || only.some((word) => name.includes(word));

/** A panic in the midst of a promise of the API leaves that for ever as it is. */
const panicked = new Promise((_, reject) => {
  addEventListener("error", ({ message }) => reject(new Error(`the engine has ended: ${message}`)));
});
panicked.catch(() => {});

const runAll = async () => {
  const pairs = await all();
  for (let number = Number(wanted.get("from")); number < pairs.length; number += 1) {
    const [test, run] = pairs[number];
    if (!isWanted(test)) continue;
    const started = performance.now();
    const ended = (rest) => report({ test, ...rest, seconds: (performance.now() - started) / 1000 });
    report({ begins: test });
    try {
      await Promise.race([run(), panicked]);
      ended({ passed: true });
    } catch (error) {
      ended({ passed: false, problem: String(error) });
      await reports;
      wanted.set("from", number + 1);
      location.search = wanted;
      return;
    }
  }
  report({ done: true });
};

runAll().catch((error) => report({ done: true, problem: String(error) }));
