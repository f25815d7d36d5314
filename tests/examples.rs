//! The examples run to their ends and print what the documentation says. They must be built before,
//! by `cargo build --examples`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

/// Runs an example from the build directory of this test, and returns its standard output.
fn output(example: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let program =
        test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(example);
    let output = Command::new(&program)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn todo_lists_converge() {
    let list = "    [ ] Call the bank\n    [x] Buy oat milk\n    [ ] Write to Alan\n    [ ] Feed the cat\n    [ ] Water the plants\n";
    assert!(output("todo").ends_with(&format!("  ada:\n{list}  grace:\n{list}")));
}

#[test]
fn a_kanban_card_is_in_one_place() {
    let last = "  to do: Compiler, Docs\n  doing: Engine\n   done: \n";
    assert!(output("kanban").ends_with(last));
}

#[test]
fn a_spreadsheet_shows_the_undone_action() {
    assert!(output("spreadsheet").contains("2000 grace:phone:1 0   undone"));
}

#[test]
fn an_outline_has_no_cycles_and_comes_back() {
    let text = output("outline");
    let without_cycle =
        "has no effect:\n  ada:\n    Compiler\n      Engine\n        Mill\n      Parser\n";
    assert!(text.contains(without_cycle), "{text}");
    assert!(
        text.contains("renames a node below it:\n  grace:\n    Compiler\n      Parser\n\n"),
        "{text}"
    );
    let back = "  grace:\n    Compiler\n      Engine\n        Mill and store\n      Parser\n";
    assert!(text.ends_with(back), "{text}");
}

#[test]
fn a_wrong_reducer_gives_a_story() {
    let story = output("test_your_reducer");
    assert!(
        story.contains("The final state depends on the order in which the actions arrive.")
            && story.contains("Ada has")
    );
}

#[test]
fn a_custom_transport_exchanges_actions() {
    assert_eq!(output("your_transport").matches("\"from\":\"client\"").count(), 2);
}

#[test]
fn two_authors_edit_one_paragraph_while_they_are_apart() {
    let text = output("editor");
    let expected = [
        "Apart:",
        "   ada: The log is totally ordered.",
        " grace: A log of actions is ordered, the same way everywhere.",
        "Together:",
        "   ada: A log of actions is totally ordered, the same way everywhere.",
        " grace: A log of actions is totally ordered, the same way everywhere.",
        "Grace's cursor is before \".\".",
        "Ada undoes what she did, and what Grace has typed stays:",
        "   ada: A log of actions is ordered, the same way everywhere.",
        " grace: A log of actions is ordered, the same way everywhere.",
        "She has selected \"ordered\" again.",
        "Who wrote what:",
        " grace: \"A log of actions\"",
        "   ada: \" is ordered\"",
        " grace: \", the same way everywhere\"",
        "   ada: \".\"",
        "",
    ];
    assert_eq!(text, expected.join("\n"));
}
