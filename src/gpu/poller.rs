//! Polling of the device, without which its callbacks never come.
//!
//! Waiting for a device is a callback that wakes a future. A browser calls back by itself; elsewhere somebody has to poll
//! the driver, and whoever awaits must not be blocked by it. So a thread sleeps until it is asked, polls until the
//! device has caught up, and sleeps again.

/// Polls one device whenever it is asked to, until it is dropped.
pub(super) struct Poller {
    /// Both are there until then.
    #[cfg(not(target_family = "wasm"))]
    asked: Option<std::sync::mpsc::Sender<Option<wgpu::SubmissionIndex>>>,
    #[cfg(not(target_family = "wasm"))]
    thread: Option<std::thread::JoinHandle<()>>,
}

#[cfg(not(target_family = "wasm"))]
impl Poller {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let (asked, asks) = std::sync::mpsc::channel();
        let device = device.clone();
        let poll = move || {
            while let Ok(submission_index) = asks.recv() {
                // Failures are reported through the callbacks of the device and those that are awaited.
                let _ = device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
            }
        };
        let thread = std::thread::Builder::new().name("wgr-poll".into()).spawn(poll);
        Self { asked: Some(asked), thread: Some(thread.expect("the system can start a thread")) }
    }

    /// Makes what was submitted and mapped call back: up to a submission, or everything so far.
    pub(super) fn ask(&self, submission: Option<wgpu::SubmissionIndex>) {
        let asked = self.asked.as_ref().expect("it is there until this is dropped");
        asked.send(submission).expect("the thread ends after this");
    }
}

/// The thread holds the device. Were it still letting go of it while the process ends, the driver would be unloaded under
/// it, and crash.
#[cfg(not(target_family = "wasm"))]
impl Drop for Poller {
    fn drop(&mut self) {
        drop(self.asked.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported.
            let _ = thread.join();
        }
    }
}

#[cfg(target_family = "wasm")]
impl Poller {
    pub(super) fn new(_: &wgpu::Device) -> Self {
        Self {}
    }

    /// Nothing to do: the browser polls.
    pub(super) fn ask(&self, _: Option<wgpu::SubmissionIndex>) {}
}
