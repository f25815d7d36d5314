//! The program as a process of its own.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn logux(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logux"));
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        if name.starts_with("LOGUX_")
            || name.starts_with("OTEL_")
            || name == "NODE_ENV"
            || name == "RUST_LOG"
        {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A running program whose lines can be waited for.
pub(crate) struct Running {
    pub(crate) process: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(process.stdout.take().expect("its output")),
            Box::new(process.stderr.take().expect("its errors")),
        ];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                BufReader::new(output)
                    .lines()
                    .map_while(Result::ok)
                    .for_each(|line| drop(sender.send(line)));
            });
        }
        Self { process, lines }
    }

    pub(crate) fn line(&self, with: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no line with {with:?} came"));
            if line.contains(with) {
                return line;
            }
        }
    }

    /// Serves `tasks` on a free port; the URL too.
    pub(crate) fn serve(folder: &Path, flags: &[&str]) -> (Self, String) {
        Self::serve_in(logux(folder), flags)
    }

    /// The same by a program that was prepared.
    pub(crate) fn serve_in(mut command: Command, flags: &[&str]) -> (Self, String) {
        command.args(["serve", "--port", "0", "--collection", "tasks"]).args(flags);
        let server = Self::start(command);
        let line = server.line("listening");
        let from = line.find("ws").expect("a URL");
        let url = line[from..].split(['"', ' ']).next().expect("a URL").to_owned();
        (server, url)
    }

    /// Sends the process a signal, such as `TERM`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill")
            .args(["-s", name, &self.process.id().to_string()])
            .status()
            .expect("kill");
        assert!(killed.success());
    }

    /// Asks it to end, and returns its exit code.
    #[cfg(unix)]
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.process.wait().expect("an end").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
