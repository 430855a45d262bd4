//! `[[table]]`.

/// How the rows of a data table are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableKind {
    /// By their key, or by the longest key that a text begins with.
    #[default]
    Keys,
    /// By the smallest network that contains an address.
    Networks,
}

impl TableKind {
    /// Every kind.
    pub const ALL: [TableKind; 2] = [TableKind::Keys, TableKind::Networks];

    /// The word in configurations and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            TableKind::Keys => "keys",
            TableKind::Networks => "networks",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<TableKind> {
        TableKind::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

/// How the file of a data table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Lines of values between commas (RFC 4180).
    Csv,
    /// An object (RFC 8259).
    Json,
}

impl TableFormat {
    /// Every format.
    pub const ALL: [TableFormat; 2] = [TableFormat::Csv, TableFormat::Json];

    /// The word in configurations and commands, and the ending of file names.
    pub fn as_str(self) -> &'static str {
        match self {
            TableFormat::Csv => "csv",
            TableFormat::Json => "json",
        }
    }

    /// The format that a word names.
    pub fn parse(word: &str) -> Option<TableFormat> {
        TableFormat::ALL.into_iter().find(|it| it.as_str() == word)
    }
}
