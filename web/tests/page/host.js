// How the engine is suspended while a test waits.

let resume = () => {};
export const suspend = new WebAssembly.Suspending(() => new Promise((resolve) => { resume = resolve; }));
export const wake = () => resume();
