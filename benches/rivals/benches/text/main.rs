//! Text of several libraries in one run, with recorded editing.
//!
//!     cargo bench --bench text                            everything, as Markdown
//!     cargo bench --bench text -- automerge-paper loro    one trace, one library
//!     cargo bench --bench text -- --rounds 9
//!
//! Each library measures each trace in two processes of its own: one for the times, one that counts
//! the heap. Keys have the times of a human, which do not depend on the recording; in one table
//! each recorded transaction is an action, in the other a burst of them is.

use std::{
    env,
    process::{Command, ExitCode, Stdio},
};

use libraries::{ALL, Entry};
use trace::{TRACES, Trace};

mod generate;
mod libraries;
mod library;
mod measure;
mod memory;
mod table;
mod trace;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// What one action contains.
const ACTIONS: [&str; 2] = ["key", "burst"];
/// What is measured by one process.
const PARTS: [&str; 2] = ["times", "sizes"];

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["--measure", library, trace, action, part, rounds] = args[..] {
        measure(library, trace, action, part, rounds);
        return ExitCode::SUCCESS;
    }
    let mut rounds = "5";
    let mut names = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match *arg {
            "--rounds" => rounds = rest.next().copied().unwrap_or_default(),
            name => names.push(name),
        }
    }
    let known = |name: &&str| {
        ALL.iter().any(|library| library.name == *name)
            || TRACES.iter().any(|(trace, _)| trace == name)
            || ACTIONS.contains(name)
    };
    let unknown: Vec<_> = names.iter().filter(|name| !known(name)).collect();
    if !unknown.is_empty() || rounds.parse::<usize>().is_err() {
        let libraries = ALL.map(|library| library.name).join("\n  ");
        let traces = TRACES.map(|(trace, _)| trace).join("\n  ");
        eprintln!("usage: cargo bench --bench text -- [--rounds N] [NAME…]");
        eprintln!("  names of libraries, traces and actions:");
        eprintln!("  {libraries}\n  {traces}\n  {}", ACTIONS.join("\n  "));
        return ExitCode::FAILURE;
    }
    compare(rounds, &names)
}

/// Measures everything that the names select, and prints the tables.
fn compare(rounds: &str, names: &[&str]) -> ExitCode {
    let libraries: Vec<&Entry> = selected(ALL.iter().map(|entry| (entry.name, entry)), names);
    let traces: Vec<&str> = selected(TRACES.iter().map(|(name, _)| (*name, *name)), names);
    let actions: Vec<&str> = selected(ACTIONS.iter().map(|name| (*name, *name)), names);
    println!("{}", table::versions(&libraries));
    let mut failed = false;
    for name in &traces {
        for action in &actions {
            let trace = open(name, action);
            let columns: Vec<table::Column> = libraries
                .iter()
                .map(|library| {
                    let parts = PARTS.map(|part| run([library.name, name, action, part, rounds]));
                    failed |= parts.contains(&None);
                    table::Column::read(library.name, &parts.map(Option::unwrap_or_default))
                })
                .collect();
            println!("\n{}", table::markdown(&trace, action, &columns));
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The items whose names are given, or all if none of them is.
fn selected<'a, T: Clone>(
    items: impl Iterator<Item = (&'a str, T)> + Clone,
    names: &[&str],
) -> Vec<T> {
    let named = items.clone().filter(|(name, _)| names.contains(name));
    let named: Vec<T> = named.map(|(_, item)| item).collect();
    if named.is_empty() { items.map(|(_, item)| item).collect() } else { named }
}

/// Opens a trace with the times and actions of a human.
fn open(name: &str, action: &str) -> Trace {
    let mut trace = Trace::open(name).expect("the name is known");
    generate::times(&mut trace);
    if action == "burst" {
        generate::bursts(&mut trace);
    }
    trace
}

/// Runs this program as a process that measures, and returns its output.
fn run(args: [&str; 5]) -> Option<String> {
    eprintln!("{}", args[..4].join(", "));
    let program = env::current_exe().expect("the program has a path");
    let output =
        Command::new(program).arg("--measure").args(args).stderr(Stdio::inherit()).output();
    let output = output.expect("the program can be started");
    if !output.status.success() {
        eprintln!("{} failed: {}", args[..4].join(", "), output.status);
        return None;
    }
    String::from_utf8(output.stdout).ok()
}

/// The process that measures.
fn measure(library: &str, trace: &str, action: &str, part: &str, rounds: &str) {
    let library = ALL.into_iter().find(|entry| entry.name == library).expect("the name is known");
    let trace = open(trace, action);
    let results = match part {
        "sizes" => (library.sizes)(&trace),
        _ => (library.times)(&trace, rounds.parse().expect("the rounds are a number")),
    };
    table::write(&results);
}
