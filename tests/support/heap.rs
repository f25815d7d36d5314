//! The bytes of the heap that a thread has, and how many it was given in total, counted by the
//! allocator. A test program that uses it declares `#[global_allocator] static HEAP: Heap = Heap;`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static TOTAL: Cell<i64> = const { Cell::new(0) };
}

/// The allocator of the system, which counts for each thread.
pub(crate) struct Heap;

fn add(bytes: i64) {
    LIVE.set(LIVE.get() + bytes);
    if bytes > 0 {
        TOTAL.set(TOTAL.get() + bytes);
    }
}

/// Converts a size, which is at most `isize::MAX`.
const fn signed(bytes: usize) -> i64 {
    bytes as i64
}

// SAFETY: all calls are passed on to `System` unchanged.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(signed(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-signed(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(-signed(layout.size()));
        add(signed(size));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Returns the bytes that this thread has allocated and not freed.
#[allow(dead_code, reason = "not every test measures memory")]
pub(crate) fn live() -> i64 {
    LIVE.get()
}

/// Returns the bytes that this thread has allocated, freed or not. It counts work.
#[allow(dead_code, reason = "not every test counts work")]
pub(crate) fn total() -> i64 {
    TOTAL.get()
}
