//! Aligned columns.

use console::measure_text_width;

use super::sheet::{Sheet, Tone, one_line};

/// The narrowest that the last column is cut to.
const LAST_COLUMN: usize = 12;

/// One field of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    tone: Tone,
    text: String,
}

impl Cell {
    /// Text in that tone.
    pub(super) fn new(tone: Tone, text: &str) -> Self {
        Self {
            tone,
            text: one_line(text).into_owned(),
        }
    }

    /// Text as it is.
    pub(super) fn plain(text: &str) -> Self {
        Self::new(Tone::Plain, text)
    }

    /// What a person can name.
    pub(super) fn name(text: &str) -> Self {
        Self::new(Tone::Name, text)
    }
}

/// The same as [`table`], without columns that there is no room for: those named in `spare`, the first
/// first.
pub(super) fn table_without(
    sheet: &mut Sheet,
    heads: &[&str],
    rows: &[Vec<Cell>],
    width: Option<usize>,
    spare: &[&str],
) {
    let mut left: Vec<usize> = (0..heads.len()).collect();
    let needed = |left: &[usize]| -> usize {
        let cells = left.iter().map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(*column));
            let longest = cells.map(|cell| measure_text_width(&cell.text)).max();
            longest.unwrap_or(0).max(measure_text_width(heads[*column])) + 2
        });
        cells.sum::<usize>().saturating_sub(2)
    };
    for name in spare {
        if width.is_none_or(|width| needed(&left) <= width) {
            break;
        }
        left.retain(|column| heads[*column] != *name);
    }
    let heads: Vec<&str> = left.iter().map(|column| heads[*column]).collect();
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| {
            let cells = left.iter().filter_map(|column| row.get(*column).cloned());
            cells.collect()
        })
        .collect();
    table(sheet, &heads, &rows, width);
}

/// Writes rows below their heads, as wide as they need to be. Only the last column is cut, and only
/// when there is a width.
pub(super) fn table(sheet: &mut Sheet, heads: &[&str], rows: &[Vec<Cell>], width: Option<usize>) {
    let mut widths: Vec<usize> = heads.iter().map(|head| measure_text_width(head)).collect();
    for row in rows {
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = (*column).max(measure_text_width(&cell.text));
        }
    }
    let last = heads.len().saturating_sub(1);
    if let (Some(width), Some(column)) = (width, widths.get(last).copied()) {
        let before: usize = widths[..last].iter().map(|column| column + 2).sum();
        widths[last] = column.min(width.saturating_sub(before).max(LAST_COLUMN));
    }
    let heads: Vec<Cell> = heads
        .iter()
        .map(|head| Cell::new(Tone::Faint, head))
        .collect();
    for row in std::iter::once(&heads).chain(rows) {
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            sheet.cell(cell.tone, &cell.text, *width);
            if index < last {
                sheet.plain("  ");
            }
        }
        sheet.end();
    }
}
