// Runs one test after the other, as the server names them, and tells it how they end. After a failure the page is loaded
// anew, as the engine may have ended with the test.

let reports = Promise.resolve();
const report = (kind, rest) => {
  reports = reports.then(() => fetch("/report", { method: "POST", body: JSON.stringify({ kind, ...rest }) }));
  return reports;
};
globalThis.say = (line) => report("printed", { line });

/** All tests: functions by their names. */
const all = async () => {
  if (!WebAssembly.Suspending) throw new Error("this browser has no JavaScript Promise Integration; Chrome has it since 137");
  const { default: init, addFile, tests } = await import("./wgr_web_tests.js");
  const { tests: ofApi } = await import("./api.js");
  const engine = await init();
  for (const path of await (await fetch("/files.json")).json()) {
    addFile(path, new Uint8Array(await (await fetch(path)).arrayBuffer()));
  }
  const run = WebAssembly.promising(engine.run);
  const ofEngine = tests().map((name, number) => [name, () => run(number)]);
  return new Map([...Object.entries(ofApi).map(([name, test]) => [`api::${name}`, test]), ...ofEngine]);
};

/** A panic in the midst of a promise of the API leaves that for ever as it is. */
const panicked = new Promise((_, reject) => {
  addEventListener("error", ({ message }) => reject(new Error(`the engine has ended: ${message}`)));
});
panicked.catch(() => {});

const runAll = async () => {
  const functions = await all();
  await report("listed", { tests: [...functions.keys()] });
  for (;;) {
    const test = await (await fetch("/next")).json();
    if (test === null) return;
    const started = performance.now();
    try {
      await Promise.race([functions.get(test)(), panicked]);
    } catch (error) {
      await report("failed", { problem: String(error) });
      location.reload();
      return;
    }
    await report("passed", { seconds: (performance.now() - started) / 1000 });
  }
};

runAll().catch((error) => report("broken", { problem: String(error) }));
