//! The origin behind all servers. It answers at once, with bodies made in advance, in the clear and
//! over TLS.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certificates;

/// A running origin. It runs until the process ends.
pub(crate) struct Origin {
    port: u16,
    /// The port with TLS; 0 if there is none.
    tls: u16,
    requests: Arc<AtomicU64>,
}

/// The size of an object. Paths write it as `1k`, or as `128b` if it is not a whole number of KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Size(u32);

impl Size {
    pub(crate) const fn of_bytes(bytes: u32) -> Size {
        Size(bytes)
    }

    pub(crate) const fn of_kib(kib: u32) -> Size {
        Size(kib * 1024)
    }

    pub(crate) fn bytes(self) -> u64 {
        self.0.into()
    }

    /// The content of an object of this size.
    pub(crate) fn body(self) -> Vec<u8> {
        (0..self.0 as usize)
            .map(|index| b'a' + (index % 23) as u8)
            .collect()
    }

    /// The entity tag of an object of this size.
    pub(crate) fn etag(self) -> String {
        format!("\"bench-{self}\"")
    }

    /// The path of one of many objects of this size. It is among the images of the sample policy,
    /// which differ by device.
    pub(crate) fn path(self, number: u64) -> String {
        format!("/img/o{number}/{self}.bin")
    }

    /// The text of this size: words in no order, as hard to compress as the text of pages.
    pub(crate) fn text(self) -> Vec<u8> {
        const WORDS: [&str; 16] = [
            "edge", "cache", "<p>", "</p>", "shop", "price", "origin", "page", "fresh", "stale",
            "<li>", "policy", "hour", "visit", "key", "answer",
        ];
        let (mut text, mut random) = (Vec::new(), 7_u64);
        while text.len() < self.0 as usize {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text.extend_from_slice(WORDS[(random >> 60) as usize].as_bytes());
            // One word in four has a number.
            if random >> 40 & 3 == 0 {
                text.extend_from_slice((random >> 50).to_string().as_bytes());
            }
            text.push(b' ');
        }
        text.truncate(self.0 as usize);
        text
    }

    /// The size of the object at such a path, or at one of a text like `/text/1k.html`.
    fn under(path: &str) -> Option<Size> {
        let name = match path.strip_prefix("/text/") {
            Some(text) => text.strip_suffix(".html")?,
            None => path
                .strip_prefix("/img/")?
                .rsplit('/')
                .next()?
                .strip_suffix(".bin")?,
        };
        name.parse().ok()
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_multiple_of(1024) {
            write!(f, "{}k", self.0 / 1024)
        } else {
            write!(f, "{}b", self.0)
        }
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let bytes = match text.strip_suffix('k') {
            Some(kib) => kib
                .parse::<u32>()
                .ok()
                .and_then(|kib| kib.checked_mul(1024)),
            None => text.strip_suffix('b').and_then(|bytes| bytes.parse().ok()),
        };
        bytes
            .map(Size)
            .ok_or_else(|| format!("{text} is not a size like 1k or 128b"))
    }
}

/// The group of an object like `/img/o7/1k.bin`; each group has a hundredth of the objects.
fn group(path: &str) -> Option<u32> {
    path.strip_prefix("/img/o")?
        .split('/')
        .next()?
        .parse::<u32>()
        .ok()
        .map(|number| number % GROUPS)
}

/// The number of groups of numbered objects. Each object is in one of them, and in the group `all`.
pub(crate) const GROUPS: u32 = 100;

impl Origin {
    pub(crate) fn start() -> std::io::Result<Origin> {
        let requests = Arc::new(AtomicU64::new(0));
        let port = listen(&requests, serve)?;
        Ok(Origin {
            port,
            tls: 0,
            requests,
        })
    }

    /// The same, which listens with TLS on another port too.
    pub(crate) fn start_with_tls() -> Result<Origin, String> {
        let failed = |error: std::io::Error| error.to_string();
        let origin = Origin::start().map_err(failed)?;
        let folder = tempfile::tempdir().map_err(failed)?;
        certificates::write(folder.path())?;
        let config = tls_config(folder.path()).map_err(|error| error.to_string())?;
        let config = Arc::new(config);
        let port = listen(&origin.requests, move |stream, count| {
            stream.set_nodelay(true).ok()?;
            let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
            answer(StreamOwned::new(connection, stream), count)
        });
        Ok(Origin {
            tls: port.map_err(failed)?,
            ..origin
        })
    }

    /// The port with TLS; 0 if there is none.
    pub(crate) fn tls(&self) -> u16 {
        self.tls
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Listens on a free port, and serves each connection on a thread of its own.
fn listen(
    requests: &Arc<AtomicU64>,
    serve: impl Fn(TcpStream, &AtomicU64) -> Option<()> + Send + Sync + 'static,
) -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (count, serve) = (Arc::clone(requests), Arc::new(serve));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (count, serve) = (Arc::clone(&count), Arc::clone(&serve));
            std::thread::spawn(move || serve(stream, &count));
        }
    });
    Ok(port)
}

fn tls_config(folder: &Path) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let certificate = CertificateDer::from_pem_file(folder.join("ecdsa.crt"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("ecdsa.key"))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(config)
}

fn serve(stream: TcpStream, requests: &AtomicU64) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    answer(stream, requests)
}

/// Answers GET and HEAD on a connection until the other side closes it.
fn answer(stream: impl Read + Write, requests: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut bodies: HashMap<(Size, bool), Vec<u8>> = HashMap::new();
    let (mut line, mut field) = (String::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        loop {
            field.clear();
            reader.read_line(&mut field).ok()?;
            if field.trim().is_empty() {
                break;
            }
        }
        let mut words = line.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        requests.fetch_add(1, Ordering::SeqCst);
        let size = Size::under(path);
        let status = if size.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let size = size.unwrap_or(Size(0));
        let is_text = path.starts_with("/text/");
        let (make, media_type) = match is_text {
            true => (Size::text as fn(Size) -> Vec<u8>, "text/html"),
            false => (
                Size::body as fn(Size) -> Vec<u8>,
                "application/octet-stream",
            ),
        };
        let body = bodies.entry((size, is_text)).or_insert_with(|| make(size));
        let groups = group(path)
            .map(|group| format!("cache-groups: \"g{group}\", \"all\"\r\n"))
            .unwrap_or_default();
        let mut answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\
             date: Mon, 02 Mar 2026 12:00:00 GMT\r\nlast-modified: Mon, 02 Mar 2026 12:00:00 GMT\r\netag: {}\r\n\
             accept-ranges: bytes\r\n{groups}cache-control: public, max-age=31536000\r\n\r\n",
            body.len(),
            size.etag(),
        )
        .into_bytes();
        if method != "HEAD" {
            answer.extend_from_slice(body);
        }
        let stream = reader.get_mut();
        stream.write_all(&answer).ok()?;
        stream.flush().ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_contain_the_size_of_the_object() {
        for (path, expected) in [
            ("/img/1k.bin", Some(Size::of_kib(1))),
            ("/img/u7-3/100k.bin", Some(Size::of_kib(100))),
            (&Size::of_bytes(128).path(7), Some(Size::of_bytes(128))),
            (&Size::of_kib(10).path(7), Some(Size::of_kib(10))),
            ("/text/98k.html", Some(Size::of_kib(98))),
            ("/text/98k.bin", None),
            ("/img/x.bin", None),
            ("/img/4194304k.bin", None),
            ("/1k.bin", None),
        ] {
            assert_eq!(Size::under(path), expected, "{path}");
        }
        assert_eq!(
            (group("/img/o107/1k.bin"), group("/img/1k.bin")),
            (Some(7), None)
        );
    }
}
