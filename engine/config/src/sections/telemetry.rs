//! `[telemetry]` and `[telemetry.otlp]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::forms;
use crate::units::Share;

section! {
    /// What is told to other systems.
    #[derive(Clone, Debug, Default, PartialEq)]
    [telemetry]
    pub struct Telemetry {
        /// See `[telemetry.otlp]`.
        otlp: Option<Otlp> = rule("none"), Nested(Otlp);
    }
}

section! {
    /// Spans of requests, sent to a collector by OpenTelemetry's protocol over HTTP. See operating.md.
    #[derive(Clone, PartialEq)]
    [telemetry.otlp]
    pub struct Otlp in base_dir {
        /// The URL of the collector. `/v1/traces` is added to its path.
        endpoint: String = required, Text("`http://HOST:PORT` or `https://HOST:PORT`")
            => forms::collector;
        /// The share of requests that have a span. Besides, those have one that a trusted proxy says to
        /// be sampled.
        sample: Share = "1%", Text("a percentage: above `0%`, at most `100%`") => forms::share;
        /// Maximum number of spans that wait for being sent. Further ones are dropped.
        queue: usize = 2048, Count(1, 1_000_000);
        /// Maximum time until the collector has answered.
        timeout: Duration = "10s", Duration("100ms", "1min");
        /// The bearer token that the collector wants.
        token: Option<String> = rule("none"), Text("16 to 4096 visible characters")
            => forms::secret,
            /// A file whose first line is the token. Use it instead of `token`.
            or token_file, Text("a path, relative to this file") => |path| {
                forms::secret(base_dir.read_text(path)?.lines().next().unwrap_or_default().trim())
            };
        /// The CAs that may have issued the collector's certificate, as PEM. `""` trusts the CAs of the
        /// system.
        ca: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, crate::mistakes::Mistake>(None),
                path => base_dir.file(path, "the certificates of CAs in PEM").map(Some),
            }
        };
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Otlp")
            .field("endpoint", &self.endpoint)
            .field("sample", &self.sample)
            .finish_non_exhaustive()
    }
}
