//! `[access_log]`.

use std::path::PathBuf;

section! {
    /// One line per answer. Without this section there is no access log.
    #[derive(Clone, Debug)]
    [access_log]
    pub struct AccessLog in base_dir {
        /// The file to append to, reopened on SIGHUP; `-` is standard output.
        path: PathBuf = "-", Text("a path, relative to this file, or `-`") => |path| match path {
            "-" => Ok(PathBuf::from("-")),
            path => base_dir.path(path),
        };
        /// Apache's combined format followed by `Cache-Status`, or one JSON object per line.
        format: AccessLogFormat = "combined",
            OneOf("combined" => AccessLogFormat::Combined, "json" => AccessLogFormat::Json);
    }
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Apache's combined format, followed by the `Cache-Status` of the answer in quotes.
    #[default]
    Combined,
    /// One JSON object a line.
    Json,
}
