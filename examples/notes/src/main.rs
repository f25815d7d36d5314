//! Notes in a terminal that several people edit at once, also without a connection.
//!
//!     cargo run -p logux-cli -- serve --dev --document notes
//!     cargo run -p notes -- ada
//!     cargo run -p notes -- bob

mod editor;
mod note;
mod screen;

use std::{env, process::ExitCode, thread};

use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc;

use crate::editor::Editor;

type Error = Box<dyn std::error::Error>;

const USAGE: &str = "Usage: notes USER [URL FILE]    default: ws://127.0.0.1:31337 notes-USER.db";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments[..] {
        [user] if !user.starts_with('-') => {
            edit(user, "ws://127.0.0.1:31337", &format!("notes-{user}.db")).await
        }
        [user, url, file] => edit(user, url, file).await,
        _ => Err(USAGE.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the editor until the user quits.
async fn edit(user: &str, server: &str, file: &str) -> Result<(), Error> {
    let mut editor = Editor::open(user, server, file).await?;
    // Restores the terminal in a panic, too.
    let mut terminal = ratatui::try_init()?;
    let ended = run(&mut terminal, &mut editor).await;
    ratatui::restore();
    editor.client.close().await;
    ended
}

async fn run(terminal: &mut ratatui::DefaultTerminal, editor: &mut Editor) -> Result<(), Error> {
    let mut events = events();
    loop {
        editor.read().await?;
        terminal.draw(|frame| screen::draw(frame, editor))?;
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Key(key)) if key.is_press() => if !editor.key(key).await? {
                    return Ok(());
                },
                // Such as a new size of the terminal, which the next drawing sees.
                Some(_) => {}
                None => return Err("the terminal is closed".into()),
            },
            changed = editor.changed() => changed?,
        }
    }
}

/// Returns the events of the terminal. Reading them blocks, so a thread does it.
fn events() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(16);
    thread::spawn(move || {
        while let Ok(event) = event::read()
            && sender.blocking_send(event).is_ok()
        {}
    });
    events
}
