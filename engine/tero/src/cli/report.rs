//! Shows mistakes to people: an excerpt of the file with the mistake marked, and the cure below.

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report,
};

use serde::Serialize;

use super::print_json;
use tero_config::{ConfigError, ConfigErrors};

/// The JSON for a file with mistakes.
#[derive(Serialize)]
struct MistakesReport<'a> {
    file: String,
    errors: &'a [ConfigError],
}

/// Prints the mistakes of `file` as JSON.
pub(super) fn print_mistakes(file: &Path, errors: &ConfigErrors) -> ExitCode {
    print_json(&MistakesReport {
        file: file.display().to_string(),
        errors: &errors.errors,
    })
}

/// Every mistake with its excerpt, and their number.
pub(super) fn report(errors: &ConfigErrors, colours: bool) -> String {
    let theme = if colours {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_context_lines(1)
        .with_links(false);
    let text = without_tokens(&errors.text);
    let mut out = String::new();
    for error in &errors.errors {
        let shown = handler.render_report(&mut out, excerpt(error, &text).as_ref());
        if shown.is_err() {
            // The plain line has the same facts.
            out.push_str(&error.to_string());
        }
        out.push('\n');
    }
    let count = errors.errors.len();
    out.push_str(&format!(
        "{count} {}\n",
        if count == 1 { "mistake" } else { "mistakes" }
    ));
    out
}

/// The text with tokens replaced by stars. It works on lines, not on values: a file with a mistake
/// may not have values.
fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut admin) = (false, false);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            admin = line.contains("[admin]");
        }
        // A misspelt key of [admin] may be the token.
        let may_be_token = if admin && !line.trim_start().starts_with("listen") {
            Some(0)
        } else {
            line.find("token")
        };
        let after_key =
            may_be_token.and_then(|key| line[key..].find('=').map(|equals| key + equals + 1));
        let value = if inside {
            0
        } else {
            after_key.unwrap_or(line.len())
        };
        out.push_str(&line[..value]);
        // Byte for byte, so that positions stay the same.
        out.extend(line[value..].bytes().map(|byte| {
            if matches!(byte, b'\n' | b'\r') {
                char::from(byte)
            } else {
                '*'
            }
        }));
        let ends = line[value..].matches("\"\"\"").count() + line[value..].matches("'''").count();
        inside = if value < line.len() {
            inside != (ends % 2 == 1)
        } else {
            inside
        };
    }
    out
}

/// A mistake in a longer line, as in a minified file, or beside one, is shown with a piece of its own
/// line alone. The excerpt's own limit is 65,535 columns.
const MAX_LINE_BYTES: usize = 200;
/// So much of a long line is shown, before the mistake and from it on.
const PIECE_BYTES: usize = 60;

/// The mistake at byte `at` of a long line, beside the piece of the line around it.
fn excerpt_of_long_line(
    error: &ConfigError,
    diagnostic: MietteDiagnostic,
    line: &str,
    at: usize,
) -> Report {
    let from = line.floor_char_boundary(at.saturating_sub(PIECE_BYTES));
    let to = line.ceil_char_boundary((at + PIECE_BYTES).min(line.len()));
    let place = format!("{}:{}:{}", error.file, error.line, error.column);
    let diagnostic = MietteDiagnostic {
        message: format!("{place}: {}", diagnostic.message),
        ..diagnostic
    };
    let length = error.at.len().clamp(1, (to - at).max(1));
    let diagnostic = diagnostic.with_label(LabeledSpan::new(None, at - from, length));
    Report::new(diagnostic).with_source_code(line[from..to].to_owned())
}

/// Whether a line, or one beside it that an excerpt shows, is too long.
fn is_long(text: &str, line: &Range<usize>) -> bool {
    let before = text[..line.start]
        .trim_end_matches('\n')
        .rsplit('\n')
        .next();
    let after = text[line.end..].trim_start_matches('\n').split('\n').next();
    let lines = [before, Some(&text[line.clone()]), after];
    lines
        .into_iter()
        .flatten()
        .any(|line| line.len() > MAX_LINE_BYTES)
}

fn excerpt(error: &ConfigError, text: &str) -> Report {
    let key = if error.key.is_empty() {
        String::new()
    } else {
        format!("{}: ", error.key)
    };
    let mut diagnostic =
        MietteDiagnostic::new(format!("{key}{}", error.problem)).with_help(error.cure.clone());
    let start = error.at.start.min(text.len());
    let first_line = text[start..]
        .find('\n')
        .map_or(text.len(), |newline| start + newline);
    if text.is_empty() {
        diagnostic.message = format!(
            "{}:{}:{}: {}",
            error.file, error.line, error.column, diagnostic.message
        );
        return Report::new(diagnostic);
    }
    let length = error.at.end.min(first_line).saturating_sub(start);
    let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1)..first_line;
    if is_long(text, &line) {
        return excerpt_of_long_line(error, diagnostic, &text[line.clone()], start - line.start);
    }
    let diagnostic = diagnostic.with_label(LabeledSpan::new(None, start, length));
    Report::new(diagnostic).with_source_code(NamedSource::new(&error.file, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use tero_config::Config;

    fn shown(text: &str) -> String {
        report(
            &Config::parse(text, "tero.toml", Path::new("")).unwrap_err(),
            false,
        )
    }

    #[test]
    fn a_report_has_place_line_problem_and_cure_of_each_mistake() {
        let shown = shown("[server]\nworker = 2\ndrain = \"1h\"\n");
        for part in [
            "tero.toml:2:1",
            "worker = 2",
            "did you mean `workers`?",
            "tero.toml:3:9",
            "1h is too large",
            "3 mistakes",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn a_mistake_in_a_line_of_any_length_is_shown_by_a_piece_of_it() {
        let pad = " ".repeat(70_000);
        let shown = shown(&format!("server = {{{pad}worker = 2{pad}}}\n"));
        for part in ["tero.toml:1:", "worker = 2", "did you mean `workers`?"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(shown.len() < 1_000, "{} bytes", shown.len());
    }

    #[test]
    fn a_long_line_beside_a_mistake_is_not_shown() {
        let long = format!("# {}\n", "x".repeat(5_000));
        for text in [
            format!("[server]\n{long}worker = 2\n"),
            format!("[server]\nworker = 2\n{long}"),
        ] {
            let shown = shown(&text);
            assert!(shown.contains("did you mean `workers`?"), "{shown}");
            assert!(shown.contains("worker = 2"), "{shown}");
            assert!(shown.len() < 1_000, "{} bytes", shown.len());
        }
    }

    #[test]
    fn a_long_value_is_not_quoted_whole() {
        let long = "x".repeat(5_000);
        for text in [
            format!("[server]\n{long} = 2\n"),
            format!("[server]\ndrain = \"{long}\"\n"),
            format!("[[site]]\nname = \"a\"\nhosts = [\"{long}/\"]\norigins = [\"{long}\"]\n"),
        ] {
            let errors = Config::parse(&text, "tero.toml", Path::new("")).unwrap_err();
            assert!(errors.to_string().contains("xxx…"), "{errors}");
            for error in &errors.errors {
                assert!(error.to_string().len() < 1_000, "{error}");
            }
        }
    }

    #[test]
    fn a_mistake_over_several_lines_or_at_the_end_is_shown() {
        for text in [
            "[[site]]\nname = \"é\nx\"",
            "[[site]]\nhosts = [\n1,\n2]\n",
            "x = [",
            "",
            "é",
        ] {
            assert!(shown(text).contains("mistake"), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_in_a_report() {
        for text in [
            "[admin]\ntoken = \"not a secret\"\n",
            "[admin]\ntoken = \"a secret",
            "x = 1\n[admin]\ntoken = \"a secret\"\nx = 1\n",
            "[admin]\ntoken = \"\"\"\na secret\nb secret\"\"\"\nx = 1",
            "admin = { token = \"a secret\", x = 1 }\n",
            "[server]\nx = 1\n[admin]\ntokn = \"a secret\"\n",
        ] {
            assert!(!shown(text).contains("secret"), "{text}");
        }
    }
}
