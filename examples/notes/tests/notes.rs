//! The editor in pseudo-terminals, with its server.
#![cfg(unix)]

mod terminal;

use std::{
    collections::HashMap,
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    ops::Range,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use tempfile::TempDir;
use vt100::Screen;

use terminal::{BACKSPACE, DOWN, ENTER, ESCAPE, LEFT, RIGHT, Terminal, UP, svg};

const SAVED: &str = "all changes are on the server";

/// The files of a test, and the address of its server.
struct World {
    folder: TempDir,
    port: u16,
}

impl World {
    fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        Self { folder: tempfile::tempdir().expect("a folder"), port }
    }

    fn file(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("the path of a temporary file").to_owned()
    }

    /// Starts the editor of a user.
    fn editor(&self, user: &str) -> Terminal {
        let url = format!("ws://127.0.0.1:{}", self.port);
        let mut editor = Terminal::start(&[user, &url, &self.file(user)]);
        // Before that, the terminal changes what is typed.
        editor.shows("q quit");
        editor
    }

    /// Starts the server, and waits until it listens.
    fn serve(&self) -> Server {
        let program = Path::new(env!("CARGO_BIN_EXE_notes")).with_file_name("logux");
        assert!(program.exists(), "build the server first: cargo build -p logux-cli");
        let mut command = Command::new(program);
        command.args(["serve", "--dev", "--document", "notes", "--db", &self.file("server")]);
        command.args(["--port", &self.port.to_string(), "--logger", "json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a server");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = output.lines().map(|line| line.expect("a line"));
        assert!(lines.any(|line| line.contains("Serving")), "the server has ended");
        // It waits when nobody reads what it writes.
        thread::spawn(move || lines.for_each(drop));
        Server(child)
    }
}

/// A server, which is killed at the end of the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the lines of the list of notes, or of the note.
fn lines(screen: &Screen, columns: Range<u16>) -> Vec<String> {
    let rows = screen.rows(columns.start, columns.end - columns.start);
    let lines = rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| line.starts_with('[')).collect()
}

/// Waits until the note has these lines.
#[track_caller]
fn note_has(terminal: &mut Terminal, expected: &[&str]) {
    terminal.until(&format!("{expected:#?}"), |screen| lines(screen, 33..79) == expected);
}

/// Waits until there are these notes.
#[track_caller]
fn list_has(terminal: &mut Terminal, expected: &[&str]) {
    terminal.until(&format!("{expected:#?}"), |screen| lines(screen, 1..31) == expected);
}

#[test]
fn several_people_edit_a_note_at_once() {
    let world = World::new();
    let _server = world.serve();
    let (mut ada, mut bob) = (world.editor("ada"), world.editor("bob"));
    ada.keys(&["n", "Shopping", ENTER, ENTER, "n", "Milk", ENTER, "n", "Bread", ENTER]);
    note_has(&mut bob, &["[ ] Milk ada", "[ ] Bread ada"]);
    // Bob checks Milk, and adds a line below it, while Ada writes one below Bread.
    ada.keys(&["n", "Brez"]);
    ada.shows("Brez");
    bob.keys(&[ENTER, " ", "n", "Tea", ENTER]);
    note_has(&mut ada, &["[x] Milk ada", "[ ] Tea bob", "[ ] Bread ada", "[ ] Brez"]);
    ada.keys(&["els", ENTER]);
    let all = ["[x] Milk ada", "[ ] Tea bob", "[ ] Bread ada", "[ ] Brezels ada"];
    note_has(&mut ada, &all);
    note_has(&mut bob, &all);
    // Both change the text of Bread, and Bob checks it: the later text stays, and the check mark.
    ada.keys(&[UP, "e", " (rye)"]);
    ada.shows("Bread (rye)");
    bob.keys(&[DOWN, "e", "!", ENTER, " "]);
    ada.shows("[x] Bread (rye)");
    ada.keys(&[ENTER]);
    let all = ["[x] Milk ada", "[ ] Tea bob", "[x] Bread (rye) ada", "[ ] Brezels ada"];
    note_has(&mut ada, &all);
    note_has(&mut bob, &all);
    ada.shows("online · all changes are on the server");
    bob.shows("online · all changes are on the server");
}

#[test]
fn people_see_where_the_others_are() {
    let world = World::new();
    let _server = world.serve();
    let (mut ada, mut bob) = (world.editor("ada"), world.editor("bob"));
    ada.keys(&["n", "Shopping", ENTER, ENTER, "n", "Milk", ENTER]);
    note_has(&mut bob, &["[ ] Milk ada"]);
    bob.shows("with ada");
    bob.keys(&[ENTER]);
    ada.shows("with bob");
    bob.keys(&["q"]);
    ada.hides("with bob");
}

#[test]
fn a_note_that_others_delete_is_left() {
    let world = World::new();
    let _server = world.serve();
    let (mut ada, mut bob) = (world.editor("ada"), world.editor("bob"));
    ada.keys(&["n", "Shopping", ENTER, "n", "Trip", ENTER, ENTER, "n", "Map", ENTER]);
    list_has(&mut bob, &["[ ] Shopping ada", "[ ] Trip ada"]);
    bob.keys(&[DOWN]);
    note_has(&mut bob, &["[ ] Map ada"]);
    bob.keys(&[ENTER, "e", "s"]);
    note_has(&mut bob, &["[ ] Maps ada"]);
    // Ada removes the line that Bob changes: his text becomes a new line.
    ada.keys(&["d"]);
    note_has(&mut ada, &[]);
    note_has(&mut bob, &[]);
    bob.keys(&[ENTER]);
    note_has(&mut ada, &["[ ] Maps bob"]);
    // She deletes the note while Bob writes.
    bob.keys(&["n", "Shoes"]);
    bob.shows("Shoes");
    ada.keys(&[ESCAPE]);
    ada.shows("Enter open");
    ada.keys(&["d"]);
    list_has(&mut bob, &["[ ] Shopping ada"]);
    bob.shows("Enter open");
    note_has(&mut bob, &[]);
    // The note returns with its lines.
    ada.keys(&["u", DOWN]);
    note_has(&mut ada, &["[ ] Maps bob"]);
    list_has(&mut bob, &["[ ] Shopping ada", "[ ] Trip ada"]);
}

#[test]
fn what_is_written_without_a_server_survives_a_kill() {
    let world = World::new();
    let mut ada = world.editor("ada");
    ada.shows(SAVED);
    ada.keys(&["n", "Shopping", ENTER, ENTER, "n", "Milk", ENTER, " ", "n", "Bread", ENTER]);
    note_has(&mut ada, &["[x] Milk ada", "[ ] Bread ada"]);
    ada.shows("offline");
    ada.shows("not on the server yet: 4");
    ada.kill();

    let mut ada = world.editor("ada");
    note_has(&mut ada, &["[x] Milk ada", "[ ] Bread ada"]);
    ada.shows("not on the server yet: 4");
    // The steps to undo survive, too. What was never sent is not sent at all.
    ada.keys(&[ENTER, "u"]);
    note_has(&mut ada, &["[x] Milk ada"]);
    ada.shows("not on the server yet: 3");
    let _server = world.serve();
    ada.shows(SAVED);
    note_has(&mut world.editor("bob"), &["[x] Milk ada"]);
}

#[test]
fn an_editor_continues_when_the_server_is_back() {
    let world = World::new();
    let server = world.serve();
    let (mut ada, mut bob) = (world.editor("ada"), world.editor("bob"));
    ada.keys(&["n", "Shopping", ENTER]);
    list_has(&mut bob, &["[ ] Shopping ada"]);
    drop(server);
    ada.keys(&["n", "Trip", ENTER]);
    bob.keys(&[" "]);
    ada.shows("not on the server yet: 1");
    bob.shows("not on the server yet: 1");
    let _server = world.serve();
    list_has(&mut ada, &["[x] Shopping ada", "[ ] Trip ada"]);
    list_has(&mut bob, &["[x] Shopping ada", "[ ] Trip ada"]);
    ada.shows(SAVED);
    bob.shows(SAVED);
}

#[test]
fn undo_and_redo_affect_the_own_edits() {
    let world = World::new();
    let _server = world.serve();
    let (mut ada, mut bob) = (world.editor("ada"), world.editor("bob"));
    ada.keys(&["n", "Shopping", ENTER, ENTER, "n", "Milk", ENTER, "n", "Bread", ENTER]);
    note_has(&mut bob, &["[ ] Milk ada", "[ ] Bread ada"]);
    bob.keys(&[ENTER, " ", "n", "Tea", ENTER]);
    note_has(&mut ada, &["[x] Milk ada", "[ ] Tea bob", "[ ] Bread ada"]);
    ada.keys(&["u"]);
    note_has(&mut bob, &["[x] Milk ada", "[ ] Tea bob"]);
    ada.keys(&["u"]);
    note_has(&mut bob, &["[ ] Tea bob"]);
    ada.keys(&["r", "r"]);
    note_has(&mut bob, &["[x] Milk ada", "[ ] Tea bob", "[ ] Bread ada"]);
    bob.keys(&["u", "u"]);
    note_has(&mut ada, &["[ ] Milk ada", "[ ] Bread ada"]);
}

#[test]
fn the_arrow_keys_travel_through_history() {
    let world = World::new();
    let _server = world.serve();
    let (mut ada, mut bob) = (world.editor("ada"), world.editor("bob"));
    ada.keys(&["n", "Shopping", ENTER, ENTER, "n", "Milk", ENTER, "n", "Bread", ENTER]);
    note_has(&mut bob, &["[ ] Milk ada", "[ ] Bread ada"]);
    bob.keys(&[ENTER, " "]);
    note_has(&mut ada, &["[x] Milk ada", "[ ] Bread ada"]);
    ada.keys(&["e", "s", ENTER]);
    note_has(&mut ada, &["[x] Milk ada", "[ ] Breads ada"]);
    ada.keys(&[LEFT]);
    ada.shows("step 3 of 4, by bob");
    note_has(&mut ada, &["[x] Milk ada", "[ ] Bread ada"]);
    ada.keys(&[LEFT]);
    ada.shows("step 2 of 4, by ada");
    note_has(&mut ada, &["[ ] Milk ada", "[ ] Bread ada"]);
    ada.keys(&[LEFT, LEFT, LEFT]);
    ada.shows("step 1 of 4, by ada");
    note_has(&mut ada, &["[ ] Milk ada"]);
    // What others write in the meantime is there on return.
    bob.keys(&["n", "Tea", ENTER]);
    note_has(&mut bob, &["[x] Milk ada", "[ ] Tea bob", "[ ] Breads ada"]);
    ada.keys(&[RIGHT]);
    note_has(&mut ada, &["[ ] Milk ada", "[ ] Bread ada"]);
    ada.keys(&[RIGHT, RIGHT]);
    note_has(&mut ada, &["[x] Milk ada", "[ ] Tea bob", "[ ] Breads ada"]);
    ada.keys(&[LEFT]);
    ada.shows("step 4 of 5, by ada");
    ada.keys(&[ESCAPE]);
    ada.hides("step");
}

#[test]
fn errors_are_printed() {
    let mut help = Terminal::start(&["--help"]);
    assert_eq!(help.ended().code(), Some(1));
    help.shows("Usage: notes USER");

    let world = World::new();
    let mut ada = world.editor("ada");
    let mut again = Terminal::start(&["ada", "ws://127.0.0.1:1", &world.file("ada")]);
    assert_eq!(again.ended().code(), Some(1));
    again.shows("is in use by the process");
    ada.keys(&["q"]);
    assert_eq!(ada.ended().code(), Some(0));
}

#[test]
fn texts_of_any_script_fit_into_any_terminal() {
    let world = World::new();
    let mut ada = world.editor("ada");
    ada.keys(&["n", "買い物", ENTER, ENTER, "n", "Crème brûlée 🍮", ENTER, "e", LEFT, LEFT]);
    ada.keys(&[BACKSPACE, "—", ENTER]);
    ada.shows("買い物");
    ada.shows("Crème brûlé— 🍮");
    for (rows, columns) in [(1, 1), (3, 10), (40, 200)] {
        ada.resize(rows, columns);
        ada.keys(&["e"]);
    }
    ada.shows("Crème brûlé— 🍮ee");
    ada.shows("Enter save");
}

/// What the README says.
#[test]
fn the_program_is_short() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = fs::read_dir(source).expect("the source").map(|file| file.expect("a file").path());
    let lengths: HashMap<_, _> = files
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a text");
            (file.file_name().expect("a name").to_owned(), text.lines().count())
        })
        .collect();
    assert!(lengths.values().sum::<usize>() < 550, "{lengths:?}");
}

/// The picture in the README is what the program shows. With the variable `UPDATE_PICTURE`, the
/// test writes it.
#[test]
fn the_picture_is_what_the_program_shows() {
    let world = World::new();
    let server = world.serve();
    let (mut ada, bob) = (world.editor("ada"), world.editor("bob"));
    bob.keys(&["n", "Shopping", ENTER, ENTER]);
    for line in ["Milk", "Tea, the black one", "Bread"] {
        bob.keys(&["n", line, ENTER]);
    }
    list_has(&mut ada, &["[ ] Shopping bob"]);
    ada.keys(&["n", "Trip to the lake", ENTER, "n", "Books to read", ENTER, " ", UP, UP, ENTER]);
    note_has(&mut ada, &["[ ] Milk bob", "[ ] Tea, the black one bob", "[ ] Bread bob"]);
    ada.keys(&[" ", DOWN, DOWN, "n", "Brezels", ENTER]);
    let lines = ["[x] Milk bob", "[ ] Tea, the black one bob", "[ ] Bread bob", "[ ] Brezels ada"];
    note_has(&mut ada, &lines);
    ada.shows(SAVED);
    // The last edits are made without a connection.
    drop(server);
    ada.shows("offline");
    ada.keys(&["n", "Apples", ENTER, UP, UP, UP, " "]);
    ada.shows("not on the server yet: 2");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("notes.svg");
    if env::var_os("UPDATE_PICTURE").is_some() {
        ada.settle();
        fs::write(&file, svg(ada.screen())).expect("written");
    }
    let picture = fs::read_to_string(file).expect("the picture");
    ada.until("notes.svg, which UPDATE_PICTURE=1 writes", |screen| svg(screen) == picture);
}
