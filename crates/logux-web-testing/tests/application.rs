//! The laws and the worlds with applications in Rust.

use std::rc::Rc;

use logux_web_testing::{
    Answer, Application, Fault, FaultKind, LawsRequest, Request, WorldsRequest, run,
};
use serde_json::{Value, json};

/// How a list of tasks treats the renaming of a task that it does not have.
#[derive(Clone, Copy, PartialEq)]
enum Unknown {
    IsIgnored,
    Throws,
}

/// A list of tasks by id. `choice` decides between adding, renaming and counting.
struct Tasks {
    unknown: Unknown,
}

impl Application for Tasks {
    fn initial(&self) -> Result<Rc<str>, Fault> {
        Ok("{}".into())
    }

    fn reduce(&self, state: &str, action: &str) -> Result<Rc<str>, Fault> {
        let mut state: Value = serde_json::from_str(state).expect("JSON");
        let action: Value = serde_json::from_str(action).expect("JSON");
        let id = action["id"].as_str().expect("an id").to_owned();
        if action["type"] == "rename" && state.get(&id).is_none() {
            if self.unknown == Unknown::Throws {
                return Err(Fault { kind: FaultKind::Throws, text: format!("no {id}").into() });
            }
        } else {
            state[id] = action["title"].clone();
        }
        Ok(state.to_string().into())
    }

    fn make(&self, state: &str, choice: u64) -> Option<String> {
        let state: Value = serde_json::from_str(state).expect("JSON");
        // 0 to 7, so that a smaller choice is a simpler one.
        let choice = choice >> 50;
        let id = format!("t{}", choice / 2 % 3);
        let kind = if choice.is_multiple_of(2) { "add" } else { "rename" };
        let is_possible = kind == "add" || state.get(&id).is_some();
        let title = format!("{choice}");
        is_possible.then(|| json!({"type": kind, "id": id, "title": title}).to_string())
    }

    fn always_holds(&self, law: usize, state: &str) -> bool {
        assert_eq!(law, 0);
        !state.contains("t2")
    }

    fn ends_well(&self, law: usize, state: &str, actions: &str) -> bool {
        let [state, actions]: [Value; 2] =
            [state, actions].map(|json| serde_json::from_str(json).expect("JSON"));
        let count = actions.as_array().expect("an array").len();
        // 0: no action, no task. 1: as many tasks as actions, which two writes of one task break.
        law == 0 && (count == 0) == (state == json!({}))
            || law == 1 && state.as_object().expect("an object").len() == count
    }
}

fn laws() -> LawsRequest {
    LawsRequest {
        seed: 1,
        histories: 100,
        users: 2,
        turns: 12,
        commutes: false,
        always: Vec::new(),
        ends: Vec::new(),
    }
}

fn worlds(ends: &[&str]) -> WorldsRequest {
    let ends = ends.iter().map(|&law| law.to_owned()).collect();
    WorldsRequest { seed: 1, worlds: 5, clients: 3, events: 40, ends }
}

fn ran(request: &Request, unknown: Unknown) -> Answer {
    run(request, Rc::new(Tasks { unknown }))
}

fn story(request: &Request, unknown: Unknown) -> String {
    ran(request, unknown).story.expect("a story")
}

#[test]
fn a_correct_reducer_fulfils_all_laws() {
    let request = LawsRequest { ends: vec!["Actions have an effect.".into()], ..laws() };
    assert_eq!(ran(&Request::Laws(request), Unknown::IsIgnored), Answer::default());
}

#[test]
fn a_reducer_that_throws_has_a_story_of_two_users() {
    let story = story(&Request::Laws(laws()), Unknown::Throws);
    let lines: Vec<&str> = story.lines().collect();
    assert_eq!(lines[0], "The reducer throws an error.", "{story}");
    assert!(lines.last().expect("a line").contains(" has no state: no t"), "{story}");
    assert!(lines.len() <= 9, "{story}");
}

#[test]
fn laws_of_the_application_are_tested() {
    let always = LawsRequest { always: vec!["There are two tasks.".into()], ..laws() };
    let told = story(&Request::Laws(always), Unknown::IsIgnored);
    assert!(told.starts_with("There are two tasks.\n\n  Ada adds "), "{told}");
    assert!(told.ends_with("\n\n  Ada has {\"t2\":\"4\"}\n"), "{told}");
    let ends = vec!["Actions have an effect.".into(), "A task is lost.".into()];
    let told = story(&Request::Laws(LawsRequest { ends, ..laws() }), Unknown::IsIgnored);
    assert!(told.starts_with("A task is lost.\n\n  "), "{told}");
    let commutes = LawsRequest { commutes: true, ..laws() };
    let told = story(&Request::Laws(commutes), Unknown::IsIgnored);
    assert!(told.starts_with("The final state depends on the order"), "{told}");
}

#[test]
fn worlds_end_with_equal_devices_and_count_what_happened() {
    let answer = ran(&Request::Worlds(worlds(&["Actions have an effect."])), Unknown::IsIgnored);
    assert_eq!(answer.story, None);
    let happened = [answer.actions, answer.undone, answer.cuts, answer.lost, answer.crashes];
    assert!(happened.iter().all(|count| *count > 0), "{answer:?}");
    let again = ran(&Request::Worlds(worlds(&["Actions have an effect."])), Unknown::IsIgnored);
    assert_eq!(again, answer);
}

#[test]
fn a_wrong_world_is_found_again_by_its_seed() {
    let request = worlds(&["Actions have an effect.", "A task is lost."]);
    let answer = ran(&Request::Worlds(request.clone()), Unknown::IsIgnored);
    let told = answer.story.clone().expect("a story");
    assert!(told.starts_with("A task is lost.\n\n  All devices have "), "{told}");
    assert!(told.lines().filter(|line| line.contains(" adds ")).count() == 2, "{told}");
    let seed = answer.seed.expect("a seed");
    let again = WorldsRequest { seed, worlds: 1, ..request };
    assert_eq!(ran(&Request::Worlds(again), Unknown::IsIgnored), answer);
}

#[test]
fn a_world_in_which_a_reducer_throws_is_wrong() {
    let answer =
        ran(&Request::Worlds(WorldsRequest { worlds: 20, ..worlds(&[]) }), Unknown::Throws);
    let told = answer.story.expect("a story");
    assert!(told.starts_with("The reducer throws an error.\n\n  no t"), "{told}");
}
