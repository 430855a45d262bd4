//! What a scripted origin does with one request, step by step.

use std::sync::Arc;

use crate::Gate;

/// One thing that the origin does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Arc<[u8]>),
    /// Waits at a gate.
    Gate(Gate),
    /// Sends this piece again and again until the other side hangs up.
    Flood(Arc<[u8]>),
    /// Sends nothing and waits until the other side hangs up.
    Hang,
    /// Sends back whatever comes, until the other side ends.
    Echo,
    /// Ends the connection in order.
    Close,
    /// Ends the connection with a reset.
    Reset,
}

/// An answer in the making. [`Reply::steps`] is what goes out: a well-formed response unless it is
/// told otherwise.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    before_head: Vec<Step>,
    halves: Option<Gate>,
    end: Option<Step>,
    raw: Option<Vec<Step>>,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(Option<usize>),
    Chunked,
    UntilClose,
}

impl Reply {
    /// A response with this status and an empty body.
    pub fn status(status: u16) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length(None),
            before_head: Vec::new(),
            halves: None,
            end: None,
            raw: None,
        }
    }

    /// A 200 with this body, which gives no freshness lifetime.
    pub fn ok(body: impl AsRef<[u8]>) -> Reply {
        Reply::status(200).body(body)
    }

    /// A 200 with this body that is fresh for so many seconds.
    pub fn fresh(max_age_secs: u64, body: impl AsRef<[u8]>) -> Reply {
        Reply::ok(body).header("Cache-Control", format!("max-age={max_age_secs}"))
    }

    /// Exactly these bytes, and whatever is said to come then.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Reply {
        Reply {
            raw: Some(Vec::new()),
            ..Reply::status(0)
        }
        .then(bytes)
    }

    /// Exactly these bytes, and then the end of the connection.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::bytes(bytes).then_close()
    }

    /// These bytes, and then silence.
    pub fn raw_then_silence(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::bytes(bytes).then_silence()
    }

    /// These bytes, and then this piece for ever.
    pub fn raw_then_flood(bytes: impl AsRef<[u8]>, piece: impl AsRef<[u8]>) -> Reply {
        Reply::bytes(bytes).step(Step::Flood(piece.as_ref().into()))
    }

    /// After [`Reply::bytes`], these.
    pub fn then(self, bytes: impl AsRef<[u8]>) -> Reply {
        self.step(Step::Send(bytes.as_ref().into()))
    }

    /// After [`Reply::bytes`], a wait until the gate opens.
    pub fn then_gate(self, gate: &Gate) -> Reply {
        self.step(Step::Gate(gate.clone()))
    }

    fn step(mut self, step: Step) -> Reply {
        self.raw
            .as_mut()
            .expect("an answer that is given as bytes")
            .push(step);
        self
    }

    /// The connection speaks another protocol from now on, in which everything comes back.
    pub fn switching(protocol: &str) -> Reply {
        let head = format!(
            "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nX-Accept: yes\r\n\r\n"
        );
        Reply::bytes(head).step(Step::Echo)
    }

    /// No answer at all.
    pub fn silence() -> Reply {
        Reply {
            raw: Some(vec![Step::Hang]),
            ..Reply::status(0)
        }
    }

    /// The connection is reset instead of an answer.
    pub fn reset() -> Reply {
        Reply {
            raw: Some(vec![Step::Reset]),
            ..Reply::status(0)
        }
    }

    /// The connection is closed instead of an answer.
    pub fn hang_up() -> Reply {
        Reply {
            raw: Some(vec![Step::Close]),
            ..Reply::status(0)
        }
    }

    /// Adds a field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Reply {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The body is sent in chunks: one, or one for each half.
    pub fn chunked(mut self) -> Reply {
        self.framing = Framing::Chunked;
        self
    }

    /// The body ends with the connection.
    pub fn until_close(mut self) -> Reply {
        self.framing = Framing::UntilClose;
        self
    }

    /// `Content-Length` says so many bytes, whatever the body has.
    pub fn announcing(mut self, length: usize) -> Reply {
        self.framing = Framing::Length(Some(length));
        self
    }

    /// These bytes go out before the head, in the order of such calls.
    pub fn after(mut self, bytes: impl AsRef<[u8]>) -> Reply {
        self.before_head.push(Step::Send(bytes.as_ref().into()));
        self
    }

    /// Nothing that follows is sent before the gate opens.
    pub fn behind(mut self, gate: &Gate) -> Reply {
        self.before_head.push(Step::Gate(gate.clone()));
        self
    }

    /// The head and the first half of the body are sent at once, the second half when the gate
    /// opens.
    pub fn in_halves(mut self, gate: &Gate) -> Reply {
        self.halves = Some(gate.clone());
        self
    }

    /// The connection ends after the body, without a word about it before.
    pub fn then_close(mut self) -> Reply {
        self.end = Some(Step::Close);
        self
    }

    /// The connection is reset after the body.
    pub fn then_reset(mut self) -> Reply {
        self.end = Some(Step::Reset);
        self
    }

    /// Nothing comes after the body, and the connection stays open.
    pub fn then_silence(mut self) -> Reply {
        self.end = Some(Step::Hang);
        self
    }

    /// What the origin does; `to_head` leaves out the body.
    pub(crate) fn steps(&self, to_head: bool) -> Vec<Step> {
        let mut steps = self.before_head.clone();
        if let Some(raw) = &self.raw {
            steps.extend(raw.iter().chain(&self.end).cloned());
            return steps;
        }
        steps.push(Step::Send(self.head().into()));
        if !to_head && self.status != 304 && self.status != 204 {
            self.body_steps(&mut steps);
        }
        steps.extend(self.end.clone());
        if matches!(self.framing, Framing::UntilClose) && self.end.is_none() {
            steps.push(Step::Close);
        }
        steps
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match self.framing {
            _ if matches!(self.status, 204 | 304) => {}
            Framing::Length(length) => {
                head += &format!("Content-Length: {}\r\n", length.unwrap_or(self.body.len()))
            }
            Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
            Framing::UntilClose => {}
        }
        head += "\r\n";
        head.into_bytes()
    }

    fn body_steps(&self, steps: &mut Vec<Step>) {
        let (first, second) = self.body.split_at(if self.halves.is_some() {
            self.body.len().div_ceil(2)
        } else {
            self.body.len()
        });
        self.piece(first, steps);
        if let Some(gate) = &self.halves {
            steps.push(Step::Gate(gate.clone()));
            self.piece(second, steps);
        }
        if matches!(self.framing, Framing::Chunked) && self.end.is_none() {
            steps.push(Step::Send((*b"0\r\n\r\n").into()));
        }
    }

    fn piece(&self, piece: &[u8], steps: &mut Vec<Step>) {
        if piece.is_empty() {
            return;
        }
        let bytes = match self.framing {
            Framing::Chunked => {
                [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
            }
            _ => piece.to_vec(),
        };
        steps.push(Step::Send(bytes.into()));
    }
}
