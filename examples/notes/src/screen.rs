//! Draws an [`Editor`].

use logux_client::{DocumentStatus, Status};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span, Text},
    widgets::{Block, Row, Table, TableState},
};
use tui_input::Input;

use crate::{
    editor::{Editor, Mode},
    note::{self, Note},
};

pub(crate) fn draw(frame: &mut Frame<'_>, editor: &Editor) {
    let heights = [Constraint::Min(3), Constraint::Length(1), Constraint::Length(2)];
    let [documents, status, help] = Layout::vertical(heights).areas(frame.area());
    let widths = [Constraint::Percentage(40), Constraint::Percentage(60)];
    let [list, note] = Layout::horizontal(widths).areas(documents);
    let mode = |is_note| Some(&editor.mode).filter(|_| editor.is_in_note == is_note);
    draw_note(frame, list, &editor.list, "Notes", mode(false));
    match editor.list.line().zip(editor.note()) {
        Some((line, document)) => draw_note(frame, note, document, &line.text, mode(true)),
        None => frame.render_widget(Block::bordered().title(" Press n to write a note "), note),
    }
    frame.render_widget(status_line(editor), status);
    frame.render_widget(keys(editor), help);
}

/// Draws the list or a note, which has a mode if it receives the keys.
fn draw_note(frame: &mut Frame<'_>, area: Rect, note: &Note, title: &str, mode: Option<&Mode>) {
    let status = match note.document.status() {
        DocumentStatus::Loading | DocumentStatus::Ready => String::new(),
        status => format!("({status}) "),
    };
    let mut block = Block::bordered().title(format!(" {title} {status}"));
    let lines = match mode {
        Some(Mode::Travel(history, step, lines)) => {
            let author = user_name(history[*step].id().node().user_or_client());
            let step = format!(" step {} of {}, by ", step + 1, history.len());
            block = block.title_bottom(Line::from(vec![step.into(), author, " ".into()]));
            lines
        }
        _ => &note.lines,
    };
    let mut names: Vec<_> = note.people.iter().map(|(user, _)| &**user).collect();
    names.dedup();
    if !names.is_empty() {
        let names = names.into_iter().flat_map(|name| [" ".into(), user_name(name)]);
        let with: Vec<_> = [" with".into()].into_iter().chain(names).chain([" ".into()]).collect();
        block = block.title_top(Line::from(with).right_aligned());
    }
    let mut rows: Vec<_> = lines.iter().map(|line| row(line, note, mode)).collect();
    let mut selected = note.row;
    if let Some(Mode::Type(None, input)) = mode {
        selected = rows.len().min(selected + 1);
        rows.insert(selected, Row::new([Line::from("[ ]"), text_field(input)]));
    }
    let is_selecting = matches!(mode, Some(Mode::Select));
    let style = if is_selecting { Style::new().reversed() } else { Style::new() };
    let widths = [Constraint::Length(3), Constraint::Fill(1), Constraint::Length(8)];
    let table = Table::new(rows, widths).row_highlight_style(style).block(block);
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(selected));
}

/// Draws a line. Its check mark has the colour of another user who is there.
fn row<'a>(line: &'a note::Line, note: &Note, mode: Option<&Mode>) -> Row<'a> {
    let text = match mode {
        Some(Mode::Type(Some(id), input)) if *id == line.id => text_field(input),
        _ if line.is_done => Line::from(&*line.text).crossed_out().dim(),
        _ => Line::from(&*line.text),
    };
    let id = line.id.to_string();
    let other = note.people.iter().find(|(_, line)| *line == id);
    let style = other.map_or(Style::new(), |(user, _)| Style::new().black().bg(color(user)));
    let check = Line::styled(if line.is_done { "[x]" } else { "[ ]" }, style);
    Row::new([check, text, Line::from(user_name(&line.author))])
}

fn status_line(editor: &Editor) -> Line<'static> {
    let user = user_name(editor.client.node_id().user_or_client());
    let status = match editor.client.status() {
        Status::Disconnected | Status::Wait => "offline",
        Status::Connecting | Status::ConnectingAfterWait => "connecting",
        Status::Sending | Status::SendingAfterWait => "sending",
        Status::Synchronized | Status::SynchronizedAfterWait => "online",
        error => error.as_str(),
    };
    let saved = match editor.client.unconfirmed() {
        0 => "all changes are on the server".into(),
        n => format!(" not on the server yet: {n} ").black().on_yellow(),
    };
    Line::from(vec![user, " · ".into(), status.into(), " · ".into(), saved])
}

/// Returns the keys that have an effect.
fn keys(editor: &Editor) -> Text<'_> {
    let enter = match editor.mode {
        Mode::Type(..) => return "Enter save   Esc cancel".into(),
        Mode::Travel(..) => return "← earlier   → later   Esc now".into(),
        Mode::Select if editor.is_in_note => "Esc notes",
        Mode::Select => "Enter open",
    };
    Text::from(format!(
        "↑↓ select   {enter}   n new   e edit   Space check   d delete\n\
         u undo   r redo   ← history   q quit"
    ))
}

/// Returns the name of a user in the user's colour.
fn user_name(name: &str) -> Span<'static> {
    Span::styled(name.to_owned(), color(name))
}

fn color(user: &str) -> Color {
    Color::Indexed(1 + user.bytes().fold(0, u8::wrapping_add) % 6)
}

/// Returns a text with the cursor.
fn text_field(input: &Input) -> Line<'static> {
    let mut after = input.value().chars();
    let before: String = after.by_ref().take(input.cursor()).collect();
    let cursor = after.next().unwrap_or(' ').to_string().reversed();
    Line::from(vec![before.into(), cursor, after.collect::<String>().into()])
}
