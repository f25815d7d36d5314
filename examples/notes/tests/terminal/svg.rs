//! A picture of a screen.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// The size of a cell, and of the margin, in pixels.
const WIDTH: usize = 9;
const HEIGHT: usize = 17;
const MARGIN: usize = 12;

const FOREGROUND: &str = "#d4d4d4";
const BACKGROUND: &str = "#1e1e1e";
/// The colours of a terminal: black, red, green, yellow, blue, magenta, cyan and white.
const COLORS: [&str; 8] =
    ["#1e1e1e", "#f14c4c", "#23d18b", "#e5c07b", "#3b8eea", "#d670d6", "#29b8db", "#d4d4d4"];

/// Returns the picture of a screen as SVG.
pub(crate) fn svg(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (usize::from(columns.get()) * WIDTH, usize::from(rows.get()) * HEIGHT);
    let (width, height) = (width + 2 * MARGIN, height + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"monospace\" font-size=\"15\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for row in 0..rows.get() {
        let cells: Vec<_> =
            (0..columns.get()).filter_map(|column| screen.cell(row, column)).collect();
        draw_row(&mut svg, usize::from(row), &cells);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws the cells of a row: those that follow each other in one style together.
fn draw_row(svg: &mut String, row: usize, cells: &[&Cell]) {
    let mut column = 0;
    for run in cells.chunk_by(|one, next| style(one) == style(next)) {
        let text: String = run.iter().map(|cell| text_of(cell)).collect();
        let (foreground, background, opacity) = style(run[0]);
        let (x, y) = (MARGIN + column * WIDTH, MARGIN + row * HEIGHT);
        let width = run.len() * WIDTH;
        column += run.len();
        if background != BACKGROUND {
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" \
                 fill=\"{background}\"/>"
            );
        }
        if !text.trim().is_empty() {
            let baseline = y + HEIGHT - 4;
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{baseline}\" textLength=\"{width}\" fill=\"{foreground}\" \
                 fill-opacity=\"{opacity}\" xml:space=\"preserve\">{text}</text>"
            );
        }
    }
}

/// Returns the text of a cell, for XML.
fn text_of(cell: &Cell) -> String {
    let text = if cell.has_contents() { cell.contents() } else { " " };
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the colours of the foreground and of the background, and the opacity of the former.
fn style(cell: &Cell) -> (&'static str, &'static str, &'static str) {
    let color = |color, default| match color {
        Color::Idx(index) => COLORS.get(usize::from(index)).copied().unwrap_or(default),
        _ => default,
    };
    let foreground = color(cell.fgcolor(), FOREGROUND);
    let background = color(cell.bgcolor(), BACKGROUND);
    let opacity = if cell.dim() { "0.5" } else { "1" };
    match cell.inverse() {
        true => (background, foreground, opacity),
        false => (foreground, background, opacity),
    }
}
