//! The documents name the dependencies that their programs need, and the program's own events.

use std::{collections::BTreeSet, fs, path::Path};

/// Returns the content of the first block of code of this language after a position.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let start = text.find(&format!("```{language}\n")).expect("a block of code");
    let content = &text[start..].split_once('\n').expect("a line").1;
    content.split("\n```").next().expect("the end of the block")
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).expect("a file")
}

/// Returns the crates that a program names, as `use name::` or `name::`.
fn crates(program: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut found = BTreeSet::new();
    for line in program.lines() {
        let line = line.trim_start().trim_start_matches("#[").trim_start_matches("use ");
        let name = line.split(|c| !is_name(c)).next().unwrap_or_default();
        if line[name.len()..].starts_with("::") && name != "std" {
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn the_programs_of_the_documents_have_all_their_dependencies() {
    for path in ["README.md", "crates/logux-server/README.md"] {
        let text = read(path);
        let dependencies: toml::Table = toml::from_str(block(&text, "toml")).expect("TOML");
        let dependencies = dependencies["dependencies"].as_table().expect("a table");
        let names: BTreeSet<_> = dependencies.keys().map(|name| name.replace('-', "_")).collect();
        // The program beside the dependencies: after them, or before.
        let after = text.find("```toml").map_or("", |start| &text[start..]);
        let has_program = after.contains("```rust,no_run");
        let program = block(if has_program { after } else { &text }, "rust,no_run");
        assert_eq!(names, crates(program), "{path}");
        assert!(names.contains("tracing_subscriber"), "{path}: refusals are visible");

        let lock: toml::Table = toml::from_str(&read("Cargo.lock")).expect("TOML");
        let packages = lock["package"].as_array().expect("a list");
        for (name, dependency) in dependencies {
            if let Some(folder) = dependency.get("path").and_then(toml::Value::as_str) {
                let folder = folder.strip_prefix("../logux-rs/").expect("the clone");
                assert!(read(&format!("{folder}/Cargo.toml")).contains(&format!("\"{name}\"")));
                continue;
            }
            let version = dependency.get("version").unwrap_or(dependency);
            let version = version.as_str().expect("a version");
            let is_used = packages.iter().any(|package| {
                package["name"].as_str() == Some(name)
                    && package["version"].as_str().is_some_and(|own| own.starts_with(version))
            });
            assert!(
                is_used,
                "{path}: {name} {version} is a version that the examples are tested with"
            );
        }
    }
}

/// Adds the names in `event = "…"` of all files of a folder.
fn add_events(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            add_events(&path, names);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let events = code.split("event = \"").skip(1).filter_map(|rest| rest.split('"').next());
        names.extend(events.map(str::to_owned));
    }
}

#[test]
fn every_event_of_the_program_is_documented() {
    let mut written = BTreeSet::new();
    add_events(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut written);
    let document = read("crates/logux-server/src/docs/events.md");
    let (_, section) = document.split_once("# The program").expect("a section");
    let documented = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name != "event")
        .collect();
    assert_eq!(written, documented);
    assert!(written.contains("serve"));
}
