//! Reads which modules each source file of a crate uses, so that a test can compare them with the
//! reading order of its folders.

#![allow(dead_code, reason = "the test of each crate uses a part")]

use std::{fs, path::Path};

/// A source file.
pub(crate) struct Source {
    /// Its path below `src`.
    pub(crate) name: String,
    /// Its content.
    pub(crate) text: String,
}

impl Source {
    /// The folder or file directly below `src` that it belongs to.
    pub(crate) fn folder(&self) -> &str {
        self.name.split(['/', '.']).next().unwrap_or_default()
    }

    /// The first segments of all paths that begin with `crate::`, in code before the unit tests.
    pub(crate) fn used(&self) -> Vec<String> {
        let mut used = Vec::new();
        let code: String = self
            .text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for (at, start) in code.match_indices("crate::") {
            // `pub(in crate::…)` and `$crate::` count, `other_crate::` does not.
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            first_segments(&code[at + start.len()..], &mut used);
        }
        used
    }
}

/// Collects the first segment of a path, or of each path of a group in braces.
fn first_segments(path: &str, used: &mut Vec<String>) {
    let Some(group) = path.strip_prefix('{') else {
        let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
        used.push(path[..end].to_owned());
        return;
    };
    let (mut depth, mut at_start) = (0_usize, true);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => return,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if at_start && !char.is_whitespace() => {
                at_start = false;
                first_segments(&group[at..], used);
            }
            _ => {}
        }
    }
}

/// Reads all source files of the crate at `manifest`, except `lib.rs`.
pub(crate) fn sources(manifest: &str) -> Vec<Source> {
    let root = Path::new(manifest).join("src");
    let mut found = Vec::new();
    read(&root, &root, &mut found);
    found.retain(|source| source.name != "lib.rs");
    assert!(found.len() > 20, "expected more than 20 source files");
    found
}

fn read(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            read(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("a path below `src`");
            let name = name.to_str().expect("UTF-8").replace('\\', "/");
            found.push(Source { name, text: fs::read_to_string(&path).expect("a source file") });
        }
    }
}

/// Asserts that each file uses its own folder and those before it in `order`, and imports
/// from the modules that define things, not through the root of the crate.
pub(crate) fn assert_order(sources: &[Source], order: &[&str]) {
    let position = |folder: &str| order.iter().position(|other| *other == folder);
    let mut wrong = Vec::new();
    for source in sources {
        let name = &source.name;
        let Some(own) = position(source.folder()) else {
            wrong.push(format!("{name} is in no folder of the reading order"));
            continue;
        };
        for used in source.used() {
            match position(&used) {
                Some(used) if used <= own => {}
                Some(_) => wrong
                    .push(format!("{name} uses `{used}`, which comes later in the reading order")),
                None => wrong.push(format!("{name} uses `{used}` through the root of the crate")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Asserts that no file has more than `max_lines` lines.
pub(crate) fn assert_size(sources: &[Source], max_lines: usize) {
    for Source { name, text } in sources {
        let lines = text.lines().count();
        assert!(lines <= max_lines, "{name} has {lines} lines; move one of its subjects");
    }
}
