//! Who polls the device so that its callbacks come.
//!
//! Waiting for a device is a callback that wakes a future. A browser calls back by itself; elsewhere somebody has to poll
//! the driver, and the one who awaits must not be blocked by it. So a thread sleeps until it is asked, polls until the
//! device has caught up, and sleeps again.

/// Polls one device whenever it is asked to, until it is dropped.
pub(super) struct Poller {
    #[cfg(not(target_family = "wasm"))]
    asked: std::sync::mpsc::Sender<()>,
}

#[cfg(not(target_family = "wasm"))]
impl Poller {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let (asked, asks) = std::sync::mpsc::channel();
        let device = device.clone();
        let poll = move || {
            while asks.recv().is_ok() {
                // Whatever fails is reported through the callbacks of the device and those that are waited for.
                let _ = device.poll(wgpu::PollType::wait_indefinitely());
            }
        };
        std::thread::Builder::new().name("wgr-poll".into()).spawn(poll).expect("the system can start a thread");
        Self { asked }
    }

    /// Has everything submitted and mapped so far called back.
    pub(super) fn ask(&self) {
        self.asked.send(()).expect("the thread ends after this");
    }
}

#[cfg(target_family = "wasm")]
impl Poller {
    pub(super) fn new(_: &wgpu::Device) -> Self {
        Self {}
    }

    /// Nothing to do: the browser polls.
    pub(super) fn ask(&self) {}
}
