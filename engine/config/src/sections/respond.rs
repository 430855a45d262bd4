//! `[site.route.respond]`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::forms;
use crate::reader::TableReader;

section! {
    /// Answers without the origin, for every method of the route.
    #[derive(Clone, Debug, PartialEq)]
    [site.route.respond]
    pub struct Respond in base_dir {
        /// The status.
        status: StatusCode = 200, Count(200, 599) by own_status;
        /// The content.
        content as "body": Bytes = "", Text("a text") => own_content,
            /// A file with the content, at most 1 MiB. It is read when the configuration is. Use it
            /// instead of `body`.
            or file, Text("a path, relative to this file") => |path| base_dir.read_page(path);
        /// The media type of the content.
        content_type: HeaderValue = "text/plain; charset=utf-8", Text("a media type")
            => forms::content_type;
        /// How long browsers and caches may keep the answer; `0s` says `no-store`.
        max_age: Duration = "0s", Duration("0s", "1y");
    }
}

fn own_content(text: &str) -> Result<Bytes, crate::mistakes::Mistake> {
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

fn own_status(reader: &TableReader<'_>, key: &str) -> Option<StatusCode> {
    reader.count_as(key, forms::own_status)
}
