//! The program in a pseudo-terminal.

mod svg;

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    process::{Child, ExitStatus},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use pty_process::{
    Size,
    blocking::{Command, Pty, open},
};
use vt100::{Parser, Screen};

pub(crate) use svg::svg;

/// Expected screens are there long before.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) const ENTER: &str = "\r";
pub(crate) const BACKSPACE: &str = "\x7f";
pub(crate) const ESCAPE: &str = "\x1b";
pub(crate) const UP: &str = "\x1b[A";
pub(crate) const DOWN: &str = "\x1b[B";
pub(crate) const RIGHT: &str = "\x1b[C";
pub(crate) const LEFT: &str = "\x1b[D";

/// A running program, which is killed at the end of the test.
pub(crate) struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    output: Receiver<Vec<u8>>,
    parser: Parser,
}

impl Terminal {
    /// Starts the program in a terminal of 80 × 16 cells.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let (pty, pts) = open().expect("a pseudo-terminal");
        pty.resize(Size::new(16, 80)).expect("a size");
        let command = Command::new(env!("CARGO_BIN_EXE_notes")).args(arguments);
        let child = command.spawn(pts).expect("a process");
        let pty = Arc::new(pty);
        let output = read(pty.clone());
        Self { child, pty, output, parser: Parser::new(cells(16), cells(80), 0) }
    }

    /// Changes the size, and waits until the program has drawn everything again.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        self.parser = Parser::new(cells(rows), cells(columns), 0);
        self.pty.resize(Size::new(rows, columns)).expect("a size");
        self.until("a drawing", |screen| !screen.contents().trim().is_empty());
    }

    /// Types keys. The program may not have handled them yet when this returns.
    #[track_caller]
    pub(crate) fn keys(&self, keys: &[&str]) {
        (&*self.pty).write_all(keys.concat().as_bytes()).expect("typed");
    }

    pub(crate) fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// Waits until the screen has a text.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Waits until the screen does not have a text.
    #[track_caller]
    pub(crate) fn hides(&mut self, text: &str) {
        self.until(&format!("no {text}"), |screen| !screen.contents().contains(text));
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub(crate) fn until(&mut self, expected: &str, is_expected: impl Fn(&Screen) -> bool) {
        let end = Instant::now() + TIMEOUT;
        while !is_expected(self.screen()) {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(error) => panic!("expected {expected}: {error}\n{}", self.screen().contents()),
            }
        }
    }

    /// Reads what the program draws until it has not drawn anything for a while.
    pub(crate) fn settle(&mut self) {
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(500)) {
            self.parser.process(&bytes);
        }
    }

    /// Kills the program with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("killed");
    }

    /// Waits until the program has ended, and reads what it has printed until then.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + TIMEOUT;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().expect("ended"),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the program runs\n{}", self.screen().contents())
                }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has cells")
}

/// Reads the output of a program, in a thread, until the program has ended.
fn read(pty: Arc<Pty>) -> Receiver<Vec<u8>> {
    let (sender, output) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = (&*pty).read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    output
}
