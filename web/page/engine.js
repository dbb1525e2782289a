// Calls of the engine, which is in a worker so that the page stays alive.

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let calls = 0;

/** Calls the engine; `onEvent` hears what happens meanwhile. */
export const call = (name, args = [], onEvent = () => {}) => new Promise((resolve, reject) => {
  calls += 1;
  waiting.set(calls, { resolve, reject, onEvent });
  worker.postMessage({ id: calls, call: name, args });
});

/** Asks the present call to stop as soon as nothing is lost by it. */
export const stop = () => worker.postMessage({ stop: true });

worker.onmessage = ({ data: { id, event, result, problem } }) => {
  const call = waiting.get(id);
  if (event) {
    call.onEvent(event);
    return;
  }
  waiting.delete(id);
  if (problem === undefined) call.resolve(result);
  else call.reject(new Error(problem));
};

/** Hears that the engine has ended, as after a bug of its own: then only a new page helps. */
export const onEnd = (listener) => {
  worker.onerror = ({ message }) => {
    const ended = new Error(`The engine has ended: ${message ?? "a file of it is missing"}. Load the page again.`);
    waiting.forEach(({ reject }) => reject(ended));
    waiting.clear();
    listener(ended);
  };
};
