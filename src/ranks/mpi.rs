//! Messages over MPI.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

use super::transport::{Tag, Transport};
use crate::{Error, Result};

// See `mpi.c`.
unsafe extern "C" {
    fn wgr_mpi_start(rank: *mut c_int, size: *mut c_int, host: *mut c_char, room: c_int) -> c_int;
    fn wgr_mpi_send(bytes: *const c_void, count: c_int, to: c_int, tag: c_int) -> *mut c_void;
    fn wgr_mpi_find(from: c_int, tag: c_int, source: *mut c_int, count: *mut c_int, message: *mut *mut c_void)
    -> c_int;
    fn wgr_mpi_receive(message: *mut c_void, bytes: *mut c_void, count: c_int) -> *mut c_void;
    fn wgr_mpi_done(request: *mut c_void) -> c_int;
    fn wgr_mpi_end();
}

/// Seconds after which a rank that does not answer is given up, unless the variable says otherwise: longer than it takes to
/// write a checkpoint.
const PATIENCE: u64 = 600;
const PATIENCE_VARIABLE: &str = "WGR_RANK_TIMEOUT";

/// How long a rank may be silent.
///
/// # Errors
/// The variable holds no number of seconds.
pub(super) fn patience() -> Result<Duration> {
    let Ok(text) = std::env::var(PATIENCE_VARIABLE) else { return Ok(Duration::from_secs(PATIENCE)) };
    match text.parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::input(PATIENCE_VARIABLE, format!("{text:?} is no number of seconds"), "use such as 600")),
    }
}

/// Room for the name of a host.
const HOST: usize = 256;

/// A message on its way, whose bytes MPI reads or writes until it is done.
struct Pending {
    request: NonNull<c_void>,
    bytes: Vec<u8>,
}

impl Pending {
    fn new(request: *mut c_void, bytes: Vec<u8>) -> Result<Self> {
        let request = NonNull::new(request).ok_or_else(broken)?;
        Ok(Self { request, bytes })
    }

    fn is_done(&self) -> Result<bool> {
        // SAFETY: the request is that of a call that succeeded, and has not been done before: whoever sees this return
        // true drops it.
        match unsafe { wgr_mpi_done(self.request.as_ptr()) } {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(broken()),
        }
    }
}

/// The connection of this process to the others of `mpirun`.
pub(super) struct Mpi {
    rank: usize,
    size: usize,
    sending: Vec<Pending>,
    /// At most one message a rank and tag.
    receiving: Vec<(usize, Tag, Pending)>,
}

impl Mpi {
    /// Joins the others, and says on which host this process is. Only the calling thread may use the connection.
    ///
    /// # Errors
    /// MPI does not start.
    pub(super) fn start() -> Result<(Self, String)> {
        let (mut rank, mut size, mut host) = (0, 0, [0; HOST]);
        // SAFETY: all pointers are to variables that live during the call, and `host` has as much room as is said. This is
        // the one place that starts MPI, and `Ranks::join` is called once in a process.
        let code = unsafe { wgr_mpi_start(&mut rank, &mut size, host.as_mut_ptr(), HOST as c_int) };
        if code != 0 {
            return Err(Error::run("MPI did not start", "see what it printed above"));
        }
        // SAFETY: the call succeeded, so `host` holds a text that ends with a zero.
        let host = unsafe { CStr::from_ptr(host.as_ptr()) }.to_string_lossy().into_owned();
        Ok((Self { rank: rank as usize, size: size as usize, sending: vec![], receiving: vec![] }, host))
    }
}

impl Transport for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&mut self, to: usize, tag: Tag, message: Vec<u8>) -> Result<()> {
        self.is_sent()?;
        let count = c_int::try_from(message.len()).expect("messages are cut into pieces far below 2 GiB");
        // SAFETY: the bytes stay where they are until the request is done: `Pending` holds the vector, which is not changed.
        let request = unsafe { wgr_mpi_send(message.as_ptr().cast(), count, to as c_int, tag as c_int) };
        self.sending.push(Pending::new(request, message)?);
        Ok(())
    }

    fn receive(&mut self, from: usize, tag: Tag) -> Result<Option<Vec<u8>>> {
        let place = self.receiving.iter().position(|(rank, of, _)| (*rank, *of) == (from, tag));
        let place = match place {
            Some(place) => place,
            None => {
                let (mut source, mut count, mut message) = (0, 0, null_mut());
                // SAFETY: all pointers are to variables that live during the call.
                let found = unsafe { wgr_mpi_find(from as c_int, tag as c_int, &mut source, &mut count, &mut message) };
                match found {
                    0 => return Ok(None),
                    1 => {}
                    _ => return Err(broken()),
                }
                let mut bytes = vec![0; count as usize];
                // SAFETY: the message was found just now and has `count` bytes, for which there is room; the vector stays in
                // `Pending` until the request is done.
                let request = unsafe { wgr_mpi_receive(message, bytes.as_mut_ptr().cast(), count) };
                self.receiving.push((from, tag, Pending::new(request, bytes)?));
                self.receiving.len() - 1
            }
        };
        let is_done = self.receiving[place].2.is_done()?;
        Ok(is_done.then(|| self.receiving.swap_remove(place).2.bytes))
    }

    fn is_sent(&mut self) -> Result<bool> {
        let mut kept = vec![];
        for pending in std::mem::take(&mut self.sending) {
            if !pending.is_done()? {
                kept.push(pending);
            }
        }
        self.sending = kept;
        Ok(self.sending.is_empty())
    }

    fn close(&mut self) {
        // SAFETY: MPI was started by this thread, and the connection is not used after it was closed.
        unsafe { wgr_mpi_end() };
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // MPI may still read and write the bytes of messages on their way.
        std::mem::forget(std::mem::take(&mut self.sending));
        std::mem::forget(std::mem::take(&mut self.receiving));
    }
}

fn broken() -> Error {
    Error::run("MPI failed to pass a message on", "see what it printed above")
}
