//! Counts what a thread allocates, for tests of how much memory something takes at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Bytes that this thread has allocated and not freed, and the most that there were.
    static HELD: Cell<[isize; 2]> = const { Cell::new([0; 2]) };
}

/// A thread that ends may still free something.
fn add(bytes: isize) {
    let _ = HELD.try_with(|held| {
        let [now, peak] = held.get();
        held.set([now + bytes, peak.max(now + bytes)]);
    });
}

// SAFETY: all that it gives out is the system's, as it was asked for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// The most bytes that this thread held during some work, beyond those that it held before.
pub(crate) fn peak_of(work: impl FnOnce()) -> usize {
    let before = HELD.get()[0];
    HELD.set([before; 2]);
    work();
    (HELD.get()[1] - before).max(0) as usize
}
