//! What JavaScript asks for, and the answer.

use serde::{Deserialize, Serialize};

/// A test, in JSON: `{"laws":{…}}` or `{"worlds":{…}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// The laws of reducers, in random histories.
    Laws(LawsRequest),
    /// Random worlds of clients and a server.
    Worlds(WorldsRequest),
}

/// The laws to test: `{"seed":7,"histories":256,"users":2,"turns":12,"commutes":false,
/// "always":["A law."],"ends":[]}`.
#[derive(Clone, Debug, Deserialize)]
pub struct LawsRequest {
    /// The seed of the histories.
    pub seed: u64,
    /// The number of histories for each law.
    pub histories: u32,
    /// The number of users, 2 to 4.
    pub users: usize,
    /// The largest number of turns of a history.
    pub turns: usize,
    /// Whether the order of the actions must make no difference.
    pub commutes: bool,
    /// Laws of the application about every state that a user sees.
    pub always: Vec<String>,
    /// Laws of the application about the final state.
    pub ends: Vec<String>,
}

/// The worlds to simulate: `{"seed":7,"worlds":50,"clients":3,"events":40,"ends":[]}`.
#[derive(Clone, Debug, Deserialize)]
pub struct WorldsRequest {
    /// The seed of the first world. Each next one has the next seed.
    pub seed: u64,
    /// The number of worlds.
    pub worlds: u32,
    /// The number of clients.
    pub clients: usize,
    /// The largest number of events of a world.
    pub events: usize,
    /// Laws of the application about the final state.
    pub ends: Vec<String>,
}

/// What was found, in JSON: `{"story":"…","seed":7}`, or the numbers of what has happened in the
/// worlds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What is wrong, for people. `None`: nothing was found.
    pub story: Option<String>,
    /// The seed of the world in which it is wrong.
    pub seed: Option<u64>,
    /// Actions that the clients added.
    pub actions: usize,
    /// Actions that are undone at the end.
    pub undone: usize,
    /// Connections that were cut.
    pub cuts: usize,
    /// Messages that were lost with their connection.
    pub lost: usize,
    /// Crashes of clients and servers.
    pub crashes: usize,
    /// The virtual time, in milliseconds.
    pub ms: u64,
}
