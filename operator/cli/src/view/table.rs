//! Tables as kubectl prints them.

use super::text::{Paint, Tone};

const GAP: usize = 3;

/// A cell and what it stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// What is not known is a dash, so that columns can still be told apart.
impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self::from("-"), Into::into)
    }
}

/// The table; columns without a value in any row are left out, and nothing is left of a table without rows.
pub(super) fn render<const N: usize>(header: [&str; N], rows: &[[Cell; N]], paint: Paint) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let is_used =
        |column: usize| rows.iter().any(|row| !row[column].text.is_empty() && row[column].text != "-");
    let used: Vec<usize> = (0..N).filter(|&column| is_used(column)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = used.iter().map(|&column| width(column)).collect();
    let header = header.map(|text| Cell::toned(text, Tone::Strong));
    let mut table = String::new();
    for row in std::iter::once(&header).chain(rows) {
        for (&column, width) in used.iter().zip(&widths) {
            let Cell { text, tone } = &row[column];
            table.push_str(&tone.map_or_else(|| text.clone(), |tone| paint.apply(tone, text)));
            if Some(&column) != used.last() {
                table.push_str(&" ".repeat(width - text.chars().count() + GAP));
            }
        }
        table.truncate(table.trim_end_matches(' ').len());
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_and_leaves_out_those_that_are_empty() {
        let rows = [
            ["clean".into(), Cell::from(None::<&str>), "1".into()],
            ["größer".into(), "-".into(), Cell::from(Some("22"))],
        ];
        assert_eq!(render(["NAME", "X", "N"], &rows, Paint::NONE), "NAME     N\nclean    1\ngrößer   22\n");
        assert_eq!(render(["NAME", "N"], &[], Paint::NONE), "");
    }

    #[test]
    fn aligns_coloured_cells_like_plain_ones() {
        let rows = [[Cell::toned("a", Tone::Good), "b".into()]];
        let table = render(["NAME", "N"], &rows, Paint::ALWAYS);
        assert!(table.ends_with("\u{1b}[32ma\u{1b}[0m      b\n"), "{table:?}");
    }
}
