//! Tests reducers in JavaScript: the laws and the simulated world of [`logux::testing`], as a
//! module of WebAssembly that calls the reducer.
//!
//! Its shell is `packages/logux-web/src/testing.js`, whose documentation is for applications. What
//! passes between them is JSON.
//!
//! Reading order: `application`, `reducer`, `request`, `laws`, `worlds`, `abi`.

#[cfg(target_arch = "wasm32")]
mod abi;
mod application;
mod laws;
mod reducer;
mod request;
mod worlds;

pub use application::{Application, Fault, FaultKind};
pub use request::{Answer, LawsRequest, Request, WorldsRequest};

use std::rc::Rc;

/// Tests an application as a [`Request`] asks for.
pub fn run(request: &Request, application: Rc<dyn Application>) -> Answer {
    let ran = match request {
        Request::Laws(request) => laws::check(request, application),
        Request::Worlds(request) => worlds::check(request, application),
    };
    ran.unwrap_or_else(|story| Answer { story: Some(story), ..Answer::default() })
}
