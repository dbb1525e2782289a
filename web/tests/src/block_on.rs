//! Waits for a future in the midst of a function, while the page goes on.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[link(wasm_import_module = "./host.js")]
unsafe extern "C" {
    /// Suspends the engine until [`wake`] is called.
    safe fn suspend();
    /// Lets the engine go on. It may run before this returns to whoever has called it.
    safe fn wake();
}

/// Wakes the engine.
#[derive(Default)]
struct Alarm {
    rang: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rang.store(true, Ordering::Relaxed);
        wake();
    }
}

/// The output of a future.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        if !alarm.rang.swap(false, Ordering::Relaxed) {
            suspend();
            alarm.rang.store(false, Ordering::Relaxed);
        }
    }
}
