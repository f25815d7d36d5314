//! The functions of the WebAssembly module.
//!
//! Strings are UTF-8 in the memory of the module. JavaScript asks for memory by `logux_allocate`
//! and passes it back with the call, whose result it reads and then frees. All functions run on the
//! one thread of the module.

use core::cell::RefCell;
use std::collections::BTreeMap;

use logux::Now;

use crate::{call::Start, web_client::WebClient};

thread_local! {
    static CLIENTS: RefCell<Clients> = RefCell::default();
}

#[derive(Default)]
struct Clients {
    last: u32,
    by_number: BTreeMap<u32, WebClient>,
}

/// Allocates memory for a string of `length` bytes. Returns its address.
#[unsafe(no_mangle)]
extern "C" fn logux_allocate(length: usize) -> *mut u8 {
    Box::into_raw(vec![0_u8; length].into_boxed_slice()).cast()
}

/// Frees a result.
///
/// # Safety
/// `address` and `length` are those of a result that was not freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn logux_free(address: *mut u8, length: usize) {
    // SAFETY: the caller passes what `give` or `logux_allocate` has returned.
    drop(unsafe { take(address, length) });
}

/// Starts a client with the JSON of a [`Start`]. Returns its number and the address and the length
/// of an error as JSON, which is empty if there is none.
///
/// # Safety
/// `address` and `length` are those of memory of [`logux_allocate`], which is freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn logux_start(address: *mut u8, length: usize) -> u64 {
    // SAFETY: as the caller promises.
    let json = unsafe { take_text(address, length) };
    let client = Start::read(&json).and_then(WebClient::start).map_err(|error| error.to_string());
    let answer = client.map(|client| {
        CLIENTS.with_borrow_mut(|clients| {
            clients.last += 1;
            clients.by_number.insert(clients.last, client);
            clients.last
        })
    });
    give(
        serde_json::json!({"client": answer.as_ref().ok(), "error": answer.as_ref().err()})
            .to_string(),
    )
}

/// Calls a client. Returns the address and the length of the JSON of a [`Turn`](crate::Turn).
///
/// # Safety
/// As [`logux_start`].
#[unsafe(no_mangle)]
unsafe extern "C" fn logux_call(
    client: u32,
    wall: f64,
    mono: f64,
    address: *mut u8,
    length: usize,
) -> u64 {
    // SAFETY: as the caller promises.
    let call = unsafe { take_text(address, length) };
    // Out of range, a float becomes the nearest number.
    let now = Now::from_millis(wall as i64, mono as u64);
    let turn = CLIENTS.with_borrow_mut(|clients| {
        let client = clients.by_number.get_mut(&client)?;
        serde_json::to_string(&client.call(now, &call)).ok()
    });
    give(turn.unwrap_or_else(|| r#"{"error":"there is no such client"}"#.to_owned()))
}

/// Ends a client.
#[unsafe(no_mangle)]
extern "C" fn logux_end(client: u32) {
    CLIENTS.with_borrow_mut(|clients| drop(clients.by_number.remove(&client)));
}

/// Takes a string back from JavaScript, as [`take`] does.
///
/// # Safety
/// As [`take`].
unsafe fn take_text(address: *mut u8, length: usize) -> String {
    // SAFETY: as the caller promises.
    String::from_utf8(unsafe { take(address, length) }.into_vec()).unwrap_or_default()
}

/// Takes memory back from JavaScript.
///
/// # Safety
/// It is a boxed slice with this length, which nobody else has.
unsafe fn take(address: *mut u8, length: usize) -> Box<[u8]> {
    // SAFETY: as the caller promises.
    unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(address, length)) }
}

/// Gives a string to JavaScript: its address in the upper half of the result, its length in the
/// lower.
fn give(text: String) -> u64 {
    let bytes = text.into_bytes().into_boxed_slice();
    let length = bytes.len() as u64;
    (Box::into_raw(bytes).cast::<u8>() as u64) << 32 | length
}
