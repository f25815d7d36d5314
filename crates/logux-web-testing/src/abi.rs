//! The functions of the WebAssembly module, and those that it calls.
//!
//! Strings are UTF-8 in the memory of the module, which JavaScript allocates by `logux_allocate`.
//! An error that a function of JavaScript throws passes through the module, which is then not used
//! any more: each test has an instance of its own.

use std::rc::Rc;

use crate::{
    application::{Application, Fault, FaultKind},
    request::{Answer, Request},
};

#[link(wasm_import_module = "logux")]
unsafe extern "C" {
    /// Returns the state after an action, or the first state without a state: `S` and its JSON, or
    /// a letter of a fault and its text. The result is packed as [`give`] does.
    fn reduce(state: *const u8, state_len: usize, action: *const u8, action_len: usize) -> u64;
    /// Returns an action, or an empty string.
    fn make(state: *const u8, state_len: usize, choice: f64) -> u64;
    /// Returns whether a law about every state holds.
    fn always(law: u32, state: *const u8, state_len: usize) -> u32;
    /// Returns whether a law about the final state holds.
    fn ends(
        law: u32,
        state: *const u8,
        state_len: usize,
        actions: *const u8,
        actions_len: usize,
    ) -> u32;
}

/// The functions of JavaScript.
struct Imported;

impl Imported {
    fn reduce(state: &str, action: &str) -> Result<Rc<str>, Fault> {
        // SAFETY: the strings live during the call, which returns memory of `logux_allocate`.
        let result = unsafe {
            take_text(reduce(state.as_ptr(), state.len(), action.as_ptr(), action.len()))
        };
        let (letter, text) = result.split_at_checked(1).unwrap_or_default();
        let kind = match letter {
            "S" => return Ok(text.into()),
            "M" => FaultKind::Mutates,
            "V" => FaultKind::Varies,
            "N" => FaultKind::NotJson,
            _ => FaultKind::Throws,
        };
        Err(Fault { kind, text: text.into() })
    }
}

impl Application for Imported {
    fn initial(&self) -> Result<Rc<str>, Fault> {
        Self::reduce("", "")
    }

    fn reduce(&self, state: &str, action: &str) -> Result<Rc<str>, Fault> {
        Self::reduce(state, action)
    }

    fn make(&self, state: &str, choice: u64) -> Option<String> {
        // SAFETY: as in `reduce`.
        let action = unsafe { take_text(make(state.as_ptr(), state.len(), choice as f64)) };
        Some(action).filter(|action| !action.is_empty())
    }

    fn always_holds(&self, law: usize, state: &str) -> bool {
        // SAFETY: the string lives during the call.
        unsafe { always(law as u32, state.as_ptr(), state.len()) != 0 }
    }

    fn ends_well(&self, law: usize, state: &str, actions: &str) -> bool {
        let (law, state, actions) = (law as u32, state.as_bytes(), actions.as_bytes());
        // SAFETY: the strings live during the call.
        unsafe { ends(law, state.as_ptr(), state.len(), actions.as_ptr(), actions.len()) != 0 }
    }
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

/// Runs the test that the JSON of a [`Request`] asks for. Returns the address and the length of the
/// JSON of an [`Answer`].
///
/// # Safety
/// `address` and `length` are those of memory of [`logux_allocate`], which is freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn logux_test(address: *mut u8, length: usize) -> u64 {
    // SAFETY: as the caller promises.
    let json = unsafe { take(address, length) };
    let answer = match serde_json::from_slice::<Request>(&json) {
        Ok(request) => crate::run(&request, Rc::new(Imported)),
        Err(error) => Answer { story: Some(error.to_string()), ..Answer::default() },
    };
    give(serde_json::to_string(&answer).unwrap_or_default())
}

/// Takes memory back from JavaScript.
///
/// # Safety
/// It is a boxed slice with this length, which nobody else has.
unsafe fn take(address: *mut u8, length: usize) -> Box<[u8]> {
    // SAFETY: as the caller promises.
    unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(address, length)) }
}

/// Takes a string that JavaScript has allocated, packed as [`give`] does.
///
/// # Safety
/// As [`take`].
unsafe fn take_text(packed: u64) -> String {
    let (address, length) = ((packed >> 32) as usize, (packed & 0xffff_ffff) as usize);
    // SAFETY: as the caller promises.
    let bytes = unsafe { take(address as *mut u8, length) };
    String::from_utf8(bytes.into_vec()).unwrap_or_default()
}

/// Gives a string to JavaScript: its address in the upper half of the result, its length in the
/// lower.
fn give(text: String) -> u64 {
    let bytes = text.into_bytes().into_boxed_slice();
    let length = bytes.len() as u64;
    (Box::into_raw(bytes).cast::<u8>() as u64) << 32 | length
}
