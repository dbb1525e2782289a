// Runs the tests from number `from` on whose names contain one of the words in `only`, and reports them to the server.
// After a failure the page is loaded anew, as the engine has ended with it.

import init, { addFile, tests } from "./wgr_web_tests.js";

let reports = Promise.resolve();
const report = (line) => {
  reports = reports.then(() => fetch("/report", { method: "POST", body: JSON.stringify(line) }));
};
globalThis.say = (line) => report({ print: line });

const wanted = new URLSearchParams(location.search);
const only = wanted.getAll("only");
const isWanted = (name) => only.length === 0 || only.some((word) => name.includes(word));

try {
  const engine = await init();
  for (const path of await (await fetch("/files.json")).json()) {
    addFile(path, new Uint8Array(await (await fetch(path)).arrayBuffer()));
  }
  const run = WebAssembly.promising(engine.run);
  const names = tests();
  for (let number = Number(wanted.get("from")); number < names.length; number += 1) {
    if (!isWanted(names[number])) continue;
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1000;
    try {
      report({ begins: names[number] });
      await run(number);
      report({ test: names[number], passed: true, seconds: seconds() });
    } catch (error) {
      report({ test: names[number], passed: false, problem: String(error), seconds: seconds() });
      await reports;
      wanted.set("from", number + 1);
      location.search = wanted;
      await new Promise(() => {});
    }
  }
  report({ done: true });
} catch (error) {
  report({ done: true, problem: String(error) });
}
