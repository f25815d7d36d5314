//! Helpers of the tests that compare with the JavaScript packages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// Installs the packages of the lock file, unless they are installed. Tests run in parallel
/// processes: one installs, and the others wait.
fn install(folder: &Path) {
    let lock =
        File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-install.lock")).unwrap();
    lock.lock().unwrap();
    let modified =
        |file: &str| fs::metadata(folder.join(file)).and_then(|file| file.modified()).ok();
    let installed = "node_modules/.package-lock.json";
    if modified(installed) > modified("package-lock.json") {
        return;
    }
    let arguments = ["ci", "--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error"];
    let npm = Command::new("npm").args(arguments).current_dir(folder).status();
    assert!(
        npm.expect("npm starts: these tests need Node.js 20 or newer").success(),
        "npm ci failed"
    );
    File::options()
        .append(true)
        .open(folder.join(installed))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
}

/// Runs a script of `tests/interop` with one line of input for each question, and returns its
/// answers, one line each.
pub(crate) fn ask_reference(script: &str, questions: &[String]) -> Vec<String> {
    let folder = interop();
    install(&folder);
    let mut node = Command::new("node");
    node.arg(script).current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = node.spawn().expect("node starts: these tests need Node.js 20 or newer");
    let mut input = node.stdin.take().unwrap();
    let text: String = questions.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let writer = thread::spawn(move || input.write_all(text.as_bytes()));
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed");
    writer.join().unwrap().unwrap();
    let answers: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), questions.len(), "one answer for each question");
    answers
}
