//! Content in another coding.

use std::io::{self, Write};
use std::time::Duration;

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::real_time;
use tero_semantics::content_coding::ContentCoding;

/// Bytes that are coded without a pause.
const SLICE: usize = 64 * 1024;
/// Coded content has to be smaller by this part of the content, or it isn't worth its memory.
const LEAST_SAVING: u64 = 16;
/// The longest content, in bytes, that is coded with the most effort, which takes a second for
/// each mebibyte.
const LONGEST_AT_BEST: u64 = 1 << 20;

/// The base-2 logarithms of the smallest and the largest window of `br`, in bytes. The largest takes
/// 4 MiB of a client's memory.
const BR_WINDOWS: (u32, u32) = (16, 22);
const BR_BUFFER: usize = 4096;

/// How content is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The coding.
    pub coding: ContentCoding,
    /// The effort, on the coding's own scale.
    level: u32,
}

/// Coded content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The content.
    pub content: Bytes,
    /// The time that it took, without pauses.
    pub took: Duration,
    /// The part of that time that no pause has followed yet.
    pub last: Duration,
}

/// Why content was not coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEncoded {
    /// It would hardly be smaller.
    #[error("it would hardly be smaller")]
    NotSmaller,
    /// The edge stops.
    #[error("the edge stops")]
    Stopped,
    /// The encoder failed.
    #[error("the encoder failed")]
    Failed,
}

impl Encoding {
    /// The effort that is right for a response that visitors wait for: some milliseconds for 100
    /// KB.
    pub fn usual(coding: ContentCoding) -> Encoding {
        let level = match coding {
            ContentCoding::Zstd => 3,
            ContentCoding::Br => 5,
            ContentCoding::Gzip => 6,
        };
        Encoding { coding, level }
    }

    /// The most effort, for `length` bytes that no client waits for.
    pub fn best(coding: ContentCoding, length: u64) -> Encoding {
        match coding {
            ContentCoding::Br if length <= LONGEST_AT_BEST => Encoding { coding, level: 11 },
            _ => Encoding::usual(coding),
        }
    }
}

/// Codes the content that lies in `pieces`. After each slice of some ten kibibytes, `pause` is told
/// how long it took; coding ends there if it returns false.
///
/// # Errors
/// [`NotEncoded`], with the reason.
pub fn encode(
    pieces: &[Bytes],
    encoding: Encoding,
    mut pause: impl FnMut(Duration) -> bool,
) -> Result<Encoded, NotEncoded> {
    let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    let most = length - length.div_ceil(LEAST_SAVING);
    let mut encoder = Encoder::new(encoding, length, Bounded::new(most))?;
    let mut took = Duration::ZERO;
    for slice in pieces.iter().flat_map(|piece| piece.chunks(SLICE)) {
        let began = real_time();
        encoder.write(slice)?;
        let spent = began.elapsed();
        took += spent;
        if !pause(spent) {
            return Err(NotEncoded::Stopped);
        }
    }
    let began = real_time();
    let content = encoder.finish()?;
    let last = began.elapsed();
    Ok(Encoded {
        content,
        took: took + last,
        last,
    })
}

/// An encoder of one of the codings.
enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Bounded>),
    Br(Box<CompressorWriter<Bounded>>),
    Gzip(GzEncoder<Bounded>),
}

impl Encoder {
    fn new(encoding: Encoding, length: u64, out: Bounded) -> Result<Encoder, NotEncoded> {
        let level = encoding.level;
        Ok(match encoding.coding {
            ContentCoding::Zstd => {
                let level = i32::try_from(level).map_err(|_| NotEncoded::Failed)?;
                let mut encoder = zstd::stream::write::Encoder::new(out, level)
                    .map_err(|_| NotEncoded::Failed)?;
                encoder
                    .set_pledged_src_size(Some(length))
                    .map_err(|_| NotEncoded::Failed)?;
                Encoder::Zstd(encoder)
            }
            ContentCoding::Br => {
                let window = length.max(1).next_power_of_two().ilog2();
                let params = BrotliEncoderParams {
                    quality: i32::try_from(level).map_err(|_| NotEncoded::Failed)?,
                    lgwin: window.clamp(BR_WINDOWS.0, BR_WINDOWS.1) as i32,
                    size_hint: usize::try_from(length).unwrap_or(usize::MAX),
                    ..BrotliEncoderParams::default()
                };
                let encoder = CompressorWriter::with_params(out, BR_BUFFER, &params);
                Encoder::Br(Box::new(encoder))
            }
            ContentCoding::Gzip => Encoder::Gzip(GzEncoder::new(out, Compression::new(level))),
        })
    }

    fn write(&mut self, slice: &[u8]) -> Result<(), NotEncoded> {
        let written = match self {
            Encoder::Zstd(encoder) => encoder.write_all(slice),
            Encoder::Br(encoder) => encoder.write_all(slice),
            Encoder::Gzip(encoder) => encoder.write_all(slice),
        };
        let out = match self {
            Encoder::Zstd(encoder) => encoder.get_ref(),
            Encoder::Br(encoder) => encoder.get_ref(),
            Encoder::Gzip(encoder) => encoder.get_ref(),
        };
        out.checked()?;
        written.map_err(|_| NotEncoded::Failed)
    }

    fn finish(self) -> Result<Bytes, NotEncoded> {
        let out = match self {
            Encoder::Zstd(encoder) => encoder.finish(),
            // It tells no error; the output does.
            Encoder::Br(encoder) => Ok(encoder.into_inner()),
            Encoder::Gzip(encoder) => encoder.finish(),
        };
        // The one error that there can be is that the output is full.
        let out = out.map_err(|_| NotEncoded::NotSmaller)?;
        out.checked()?;
        // What is stored should hold no more than it weighs.
        Ok(Bytes::from(out.bytes.into_boxed_slice()))
    }
}

/// Output of at most so many bytes.
struct Bounded {
    bytes: Vec<u8>,
    most: u64,
    is_full: bool,
}

impl Bounded {
    fn new(most: u64) -> Bounded {
        Bounded {
            bytes: Vec::new(),
            most,
            is_full: false,
        }
    }

    fn checked(&self) -> Result<(), NotEncoded> {
        if self.is_full {
            return Err(NotEncoded::NotSmaller);
        }
        Ok(())
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full || (self.bytes.len() + bytes.len()) as u64 > self.most {
            self.is_full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn page(length: usize) -> Vec<u8> {
        let line =
            |number: usize| format!("<li class=\"item\">entry {}</li>\n", number * 7_919 % 1_000);
        let mut page: Vec<u8> = (0..length / 20)
            .flat_map(|number| line(number).into_bytes())
            .collect();
        page.truncate(length);
        page
    }

    fn decoded(coding: ContentCoding, content: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            ContentCoding::Zstd => plain = zstd::decode_all(content).unwrap(),
            ContentCoding::Br => drop(
                brotli::Decompressor::new(content, BR_BUFFER)
                    .read_to_end(&mut plain)
                    .unwrap(),
            ),
            ContentCoding::Gzip => drop(
                flate2::read::GzDecoder::new(content)
                    .read_to_end(&mut plain)
                    .unwrap(),
            ),
        }
        plain
    }

    #[test]
    fn every_coding_gives_the_content_back() {
        for coding in ContentCoding::ALL {
            for length in [500, 5_000, 65_536, 300_000] {
                let page = page(length);
                // In pieces whose length isn't a multiple of a slice.
                let pieces: Vec<Bytes> = page.chunks(70_001).map(Bytes::copy_from_slice).collect();
                let mut slices = 0;
                let pause = |_| {
                    slices += 1;
                    true
                };
                let encoded = encode(&pieces, Encoding::usual(coding), pause).unwrap();
                assert_eq!(
                    decoded(coding, &encoded.content),
                    page,
                    "{coding:?} {length}"
                );
                assert!(encoded.content.len() < length / 2);
                assert!(slices >= length.div_ceil(SLICE));
            }
        }
    }

    #[test]
    fn the_most_effort_makes_br_smaller_and_is_for_short_content() {
        // Words in no order, which leave more to find than the lines of a list do.
        let words = [
            "booking",
            "room",
            "price",
            "night",
            "guest",
            "arrival",
            "breakfast",
        ];
        let mut state = 1_u64;
        let mut page = String::new();
        while page.len() < 50_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            page.push_str(words[(state >> 60) as usize % words.len()]);
            page.push(' ');
        }
        let page = page.into_bytes();
        let encoded = |encoding| {
            let pieces = [Bytes::from(page.clone())];
            encode(&pieces, encoding, |_| true).unwrap().content
        };
        let best = encoded(Encoding::best(ContentCoding::Br, 50_000));
        assert!(best.len() < encoded(Encoding::usual(ContentCoding::Br)).len());
        assert_eq!(decoded(ContentCoding::Br, &best), page);
        let long = LONGEST_AT_BEST + 1;
        assert_eq!(
            Encoding::best(ContentCoding::Br, long),
            Encoding::usual(ContentCoding::Br)
        );
        assert_ne!(
            Encoding::best(ContentCoding::Br, long - 1),
            Encoding::usual(ContentCoding::Br)
        );
    }

    #[test]
    fn content_that_hardly_shrinks_stays_as_it_is() {
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..100_000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        for coding in ContentCoding::ALL {
            for content in [&noise[..], &noise[..10], b"a", b""] {
                let pieces = [Bytes::copy_from_slice(content)];
                let result = encode(&pieces, Encoding::usual(coding), |_| true);
                assert_eq!(result.unwrap_err(), NotEncoded::NotSmaller, "{coding:?}");
            }
        }
    }

    #[test]
    fn a_pause_can_end_it() {
        let pieces = [Bytes::from(page(200_000))];
        for coding in ContentCoding::ALL {
            let mut left = 2;
            let result = encode(&pieces, Encoding::usual(coding), |_| {
                left -= 1;
                left > 0
            });
            assert_eq!(result, Err(NotEncoded::Stopped));
        }
    }
}
