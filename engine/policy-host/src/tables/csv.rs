//! Tables as CSV (RFC 4180). The first column is the key. With two columns the second is the value;
//! with more, the first line names the columns.

use csv::{ReaderBuilder, StringRecord};
use tero_config::TableKind;

use super::MAX_TABLE_COLUMNS;
use super::rows::{RowWriter, Rows};
use super::table_error::{TableError, shown};

/// The first line of a file with two columns names them if its first cell is one of these.
const HEADER_WORDS: [&str; 2] = ["key", "network"];

/// Reads the rows, and the names of the columns as JSON if there are several.
pub(super) fn read(text: &str, kind: TableKind) -> Result<(Rows, Box<[Box<str>]>), TableError> {
    let mut lines = CsvLines::new(text);
    let mut line = StringRecord::new();
    let Some(first) = lines.next(&mut line)? else {
        return Err(TableError::new(
            None,
            "the file is empty",
            "write a row; a table without rows is the JSON `{}`",
        ));
    };
    let mut writer = RowWriter::new(kind, text.len());
    let width = line.len();
    let columns = match width {
        0 | 1 => return Err(one_column(first, &line)),
        2 => {
            if !HEADER_WORDS
                .iter()
                .any(|word| line[0].eq_ignore_ascii_case(word))
            {
                writer.push(Some(first), &line[0], &line[1])?;
            }
            Box::default()
        }
        _ => names(first, &line)?,
    };
    while let Some(number) = lines.next(&mut line)? {
        if line.len() != width {
            let problem = format!("this line has {} columns", line.len());
            let cure = format!(
                "the first line has {width}: put quotes around a value with a comma, `\"1,5\"`"
            );
            return Err(TableError::new(Some(number), problem, cure));
        }
        if columns.is_empty() {
            writer.push(Some(number), &line[0], &line[1])?;
        } else {
            writer.push_cells(Some(number), &line[0], line.iter().skip(1))?;
        }
    }
    Ok((writer.finish()?, columns))
}

/// The names of the columns beside the key, each as JSON with a colon.
fn names(line: u64, header: &StringRecord) -> Result<Box<[Box<str>]>, TableError> {
    let names: Vec<&str> = header.iter().skip(1).collect();
    let error = |problem: String, cure: &str| Err(TableError::new(Some(line), problem, cure));
    if names.len() > MAX_TABLE_COLUMNS {
        let problem = format!("the table has {} columns beside the key", names.len());
        return error(problem, &format!("it may have {MAX_TABLE_COLUMNS}"));
    }
    for (index, name) in names.iter().enumerate() {
        let bad = |what: &str| format!("the name `{}` of column {} {what}", shown(name), index + 2);
        if name.trim().is_empty() {
            let cure = "with more than two columns, the first line names them";
            return error(bad("is empty"), cure);
        }
        if name.contains(char::is_control) {
            return error(bad("has a control character"), "remove it");
        }
        if names[..index].contains(name) {
            return error(bad("comes twice"), "give each column a name of its own");
        }
    }
    let as_json = |name: &str| format!("{}:", serde_json::Value::from(name)).into();
    Ok(names.into_iter().map(as_json).collect())
}

fn one_column(line: u64, cells: &StringRecord) -> TableError {
    let cell = cells.get(0).unwrap_or_default();
    let separator = [(';', "`;`"), ('\t', "a tab")]
        .into_iter()
        .find(|(separator, _)| cell.contains(*separator));
    let cure = match separator {
        Some((_, shown)) => format!("its separator is {shown}: save the file with commas"),
        None => "write the key, a comma and the value".to_owned(),
    };
    TableError::new(Some(line), "this line has one column", cure)
}

/// The lines of a file; one with line breaks in quotes counts as one.
struct CsvLines<'t> {
    text: &'t str,
    reader: csv::Reader<&'t [u8]>,
    /// How many line feeds come before the place of the reader.
    line_feeds: u64,
}

impl<'t> CsvLines<'t> {
    fn new(text: &'t str) -> CsvLines<'t> {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        CsvLines {
            text,
            reader,
            line_feeds: 0,
        }
    }

    /// Reads the next line, and gives its number.
    fn next(&mut self, line: &mut StringRecord) -> Result<Option<u64>, TableError> {
        let start = self.reader.position().byte() as usize;
        let result = self.reader.read_record(line);
        let end = self.reader.position().byte() as usize;
        let written = &self.text.as_bytes()[start..end];
        // The line feed of the line before comes first if a carriage return precedes it.
        let between = written
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let number = 1 + self.line_feeds + line_feeds(&written[..between]);
        self.line_feeds += line_feeds(written);
        let is_there = result.map_err(|error| {
            TableError::new(Some(number), error.to_string(), "write it as RFC 4180 says")
        })?;
        // The reader takes the end of the file for the missing quote.
        if written.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
            return Err(TableError::new(
                Some(number),
                "a quote is not closed",
                "close it; a quote within a value is written twice, and the value in quotes",
            ));
        }
        Ok(is_there.then_some(number))
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
