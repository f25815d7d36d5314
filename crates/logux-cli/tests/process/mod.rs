//! Runs the program as a process.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Returns a command for the program in `folder`, without the variables that configure it.
pub(crate) fn logux(folder: &Path) -> Command {
    program(env!("CARGO_BIN_EXE_logux"), folder)
}

/// Returns a command for another program, which may start this one.
pub(crate) fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(name);
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
    tempfile::tempdir().expect("a temporary folder")
}

/// A running program. It is killed when it is dropped.
pub(crate) struct RunningProgram {
    pub(crate) process: Child,
    lines: mpsc::Receiver<String>,
}

impl RunningProgram {
    /// Starts a command and collects the lines of its output.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(process.stdout.take().expect("the standard output")),
            Box::new(process.stderr.take().expect("the standard error")),
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

    /// Waits for a line that contains `text`.
    pub(crate) fn line(&self, text: &str) -> String {
        let mut others = Vec::new();
        loop {
            let line = self.lines.recv_timeout(TIMEOUT).unwrap_or_else(|_| {
                panic!("no line contains {text:?}; the lines are\n{}", others.join("\n"))
            });
            if line.contains(text) {
                return line;
            }
            others.push(line);
        }
    }

    /// Serves the collection `tasks` on a free port. Returns the program and its URL.
    pub(crate) fn serve(folder: &Path, flags: &[&str]) -> (Self, String) {
        Self::serve_with(logux(folder), flags)
    }

    /// Like [`serve`](Self::serve), with a prepared command.
    pub(crate) fn serve_with(mut command: Command, flags: &[&str]) -> (Self, String) {
        command.args(["serve", "--port", "0", "--collection", "tasks"]).args(flags);
        let server = Self::start(command);
        let line = server.line("listening");
        let start = line.find("ws").expect("a URL");
        let url = line[start..].split(['"', ' ']).next().expect("a URL").to_owned();
        (server, url)
    }

    /// Sends a signal, such as `TERM`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.process.id().to_string()])
            .status()
            .expect("kill");
        assert!(status.success());
    }

    /// Stops the program with `TERM` and returns its exit code.
    #[cfg(unix)]
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.process.wait().expect("an exit status").code()
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
