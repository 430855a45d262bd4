//! `[site.compress]`.

use std::ops::RangeInclusive;
use std::path::Path;

use crate::files::BaseDir;
use crate::forms;
use crate::mistakes::Mistake;
use crate::raw::RawKind;
use crate::reader::TableReader;
use crate::units::show_size;
use tero_semantics::content_coding::ContentCoding;
use tero_semantics::media_type::MediaTypePattern;

section! {
    /// Compresses stored responses, each once, for the clients that accept it. Responses that are
    /// not stored are passed on as they come.
    #[derive(Clone, Debug, PartialEq)]
    [site.compress]
    pub struct Compress {
        /// The media types to compress. `text/event-stream` is never compressed.
        types: Vec<MediaTypePattern> = [
            "text/*", "application/json", "application/*+json", "application/javascript",
            "application/xml", "application/*+xml", "application/wasm", "image/svg+xml",
            "font/ttf", "font/otf"
        ], Texts("a media type, `text/*`, or `application/*+xml`") => forms::media_type,
            at_least_one("name a media type, [\"text/*\"], or leave the key out"), distinct();
        /// The shortest content that is compressed.
        min: u64 = "1KiB", Size("1B", "1MiB");
        /// The longest content that is compressed. One that is longer than `128KiB` is compressed
        /// in the background.
        max: u64 = "8MiB", Size("1KiB", "1GiB") => at_least(min);
        /// The codings that are made, the most wanted first: of those that a client accepts alike,
        /// it gets the first.
        codings: Vec<ContentCoding> = ["br", "zstd", "gzip"], Texts("`br`, `zstd` or `gzip`")
            => forms::content_coding,
            at_least_one("name a coding, [\"gzip\"], or leave out `compress`"), distinct();
        /// What origins are asked for: `accepted`, the codings that the client accepts, so that
        /// origins may compress themselves; or `identity`, so that all compressing is done here and
        /// one stored response serves all clients. Then responses that are not stored come
        /// uncompressed, until a URL is known as not storable.
        ask_origin: OriginCodings = "accepted",
            OneOf(
                "accepted" => OriginCodings::Accepted,
                "identity" => OriginCodings::Identity
            );
    }
}

/// Which codings origins are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OriginCodings {
    /// Those that the client accepts.
    #[default]
    Accepted,
    /// None.
    Identity,
}

/// Whether stored responses of a route are compressed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RouteCompress {
    /// As those of its site.
    #[default]
    OfSite,
    /// Not at all.
    Off,
    /// By settings of its own.
    Own(Compress),
}

/// Reads `compress` of a route: `false`, or a table in the place of the site's.
pub(super) fn of_route(reader: &TableReader<'_>, key: &str) -> Option<RouteCompress> {
    match reader.written(key)?.kind {
        RawKind::Flag(false) => Some(RouteCompress::Off),
        RawKind::Flag(true) => {
            let problem = "`true` doesn't say how";
            let cure =
                "write compress = {} for the defaults, or leave it out for what the site says";
            reader.refuse(key, Mistake::new(problem, cure));
            None
        }
        _ => {
            let table = reader.nested(key)?;
            Some(RouteCompress::Own(Compress::read(
                &table,
                BaseDir(Path::new("")),
            )))
        }
    }
}

/// A length that leaves something between the two.
fn at_least(min: u64) -> impl Fn(u64) -> Result<u64, Mistake> {
    move |max| {
        if max >= min {
            return Ok(max);
        }
        let (min, max) = (show_size(min), show_size(max));
        Err(Mistake::new(
            format!("{max} is less than min"),
            format!("write at least {min}, or make min smaller"),
        ))
    }
}

impl Compress {
    /// The lengths that are compressed, in bytes.
    pub fn lengths(&self) -> RangeInclusive<u64> {
        self.min..=self.max
    }
}
