//! The origin that all servers stand in front of. It is asked once per server and object, so it need not be fast.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A running origin; it ends with the process.
pub(crate) struct Origin {
    port: u16,
    requests: Arc<AtomicU64>,
}

/// Where the object of that size lies: under the images of the sample policy, which differ by device.
pub(crate) fn path(kib: u32) -> String {
    format!("/img/{kib}k.bin")
}

/// Its bytes.
pub(crate) fn body(kib: u32) -> Vec<u8> {
    (0..kib as usize * 1024).map(|index| b'a' + (index % 23) as u8).collect()
}

impl Origin {
    pub(crate) fn start() -> std::io::Result<Origin> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || serve(stream, &count));
            }
        });
        Ok(Origin { port, requests })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Requests answered so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers GET and HEAD on one connection until the other side closes it.
fn serve(stream: TcpStream, requests: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        loop {
            let mut field = String::new();
            reader.read_line(&mut field).ok()?;
            if field.trim().is_empty() {
                break;
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let kib = target.strip_prefix("/img/").and_then(|name| name.strip_suffix("k.bin")).and_then(|kib| kib.parse().ok());
        let (status, body) = kib.map_or(("404 Not Found", Vec::new()), |kib| ("200 OK", body(kib)));
        write!(
            writer,
            "HTTP/1.1 {status}\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\
             date: Mon, 02 Mar 2026 12:00:00 GMT\r\nlast-modified: Mon, 02 Mar 2026 12:00:00 GMT\r\netag: \"bench-{}\"\r\ncache-control: public, max-age=31536000\r\n\r\n",
            body.len(),
            body.len(),
        )
        .ok()?;
        if method != "HEAD" {
            writer.write_all(&body).ok()?;
        }
        writer.flush().ok()?;
    }
}
