//! What a scripted origin does with a request, step by step.

use std::sync::Arc;

use crate::Gate;

/// A step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Arc<[u8]>),
    /// Waits at a gate.
    Gate(Gate),
    /// Sends this piece again and again until the other side closes.
    Flood(Arc<[u8]>),
    /// Sends nothing and waits until the other side closes.
    Hang,
    /// Sends back all bytes, until the other side ends.
    Echo,
    /// Closes the connection in order.
    Close,
    /// Resets the connection.
    Reset,
}

/// Builds what the origin sends: a well-formed response, unless the test asks for something else.
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
    /// A response with an empty body.
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

    /// A 200 without a freshness lifetime.
    pub fn ok(body: impl AsRef<[u8]>) -> Reply {
        Reply::status(200).body(body)
    }

    /// A 200 with `Cache-Control: max-age`.
    pub fn fresh(max_age_secs: u64, body: impl AsRef<[u8]>) -> Reply {
        Reply::ok(body).header("Cache-Control", format!("max-age={max_age_secs}"))
    }

    /// Exactly these bytes, and then the steps that follow.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Reply {
        Reply {
            raw: Some(Vec::new()),
            ..Reply::status(0)
        }
        .then(bytes)
    }

    /// Exactly these bytes, and then a close.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::bytes(bytes).then_close()
    }

    /// Exactly these bytes, and then silence.
    pub fn raw_then_silence(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::bytes(bytes).then_silence()
    }

    /// Exactly these bytes, and then this piece again and again.
    pub fn raw_then_flood(bytes: impl AsRef<[u8]>, piece: impl AsRef<[u8]>) -> Reply {
        Reply::bytes(bytes).step(Step::Flood(piece.as_ref().into()))
    }

    /// Adds bytes after [`Reply::bytes`].
    pub fn then(self, bytes: impl AsRef<[u8]>) -> Reply {
        self.step(Step::Send(bytes.as_ref().into()))
    }

    /// Adds a gate after [`Reply::bytes`].
    pub fn then_gate(self, gate: &Gate) -> Reply {
        self.step(Step::Gate(gate.clone()))
    }

    fn step(mut self, step: Step) -> Reply {
        self.raw
            .as_mut()
            .expect("steps follow Reply::bytes")
            .push(step);
        self
    }

    /// A 101: the connection switches to a protocol that echoes all bytes.
    pub fn switching(protocol: &str) -> Reply {
        Reply::switching_with(protocol, &[])
    }

    /// The same, with these fields.
    pub fn switching_with(protocol: &str, fields: &[(&str, String)]) -> Reply {
        let fields = fields.iter();
        let fields: String = fields
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nX-Accept: yes\r\n{fields}\r\n"
        );
        Reply::bytes(head).step(Step::Echo)
    }

    /// Sends nothing, and keeps the connection open.
    pub fn silence() -> Reply {
        Reply {
            raw: Some(vec![Step::Hang]),
            ..Reply::status(0)
        }
    }

    /// Resets the connection instead of answering.
    pub fn reset() -> Reply {
        Reply {
            raw: Some(vec![Step::Reset]),
            ..Reply::status(0)
        }
    }

    /// Closes the connection instead of answering.
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

    /// Sets the body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Reply {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Sends the body in one chunk, or in one for each half.
    pub fn chunked(mut self) -> Reply {
        self.framing = Framing::Chunked;
        self
    }

    /// Ends the body by closing the connection.
    pub fn until_close(mut self) -> Reply {
        self.framing = Framing::UntilClose;
        self
    }

    /// Sets `Content-Length`, whatever the length of the body.
    pub fn announcing(mut self, length: usize) -> Reply {
        self.framing = Framing::Length(Some(length));
        self
    }

    /// Sends bytes before the head. Several calls are sent in order.
    pub fn after(mut self, bytes: impl AsRef<[u8]>) -> Reply {
        self.before_head.push(Step::Send(bytes.as_ref().into()));
        self
    }

    /// Waits at a gate before the head.
    pub fn behind(mut self, gate: &Gate) -> Reply {
        self.before_head.push(Step::Gate(gate.clone()));
        self
    }

    /// Sends the head and the first half of the body at once, and the second half when the gate
    /// opens.
    pub fn in_halves(mut self, gate: &Gate) -> Reply {
        self.halves = Some(gate.clone());
        self
    }

    /// Closes the connection after the body, without announcing it.
    pub fn then_close(mut self) -> Reply {
        self.end = Some(Step::Close);
        self
    }

    /// Resets the connection after the body.
    pub fn then_reset(mut self) -> Reply {
        self.end = Some(Step::Reset);
        self
    }

    /// Sends nothing after the body, and keeps the connection open.
    pub fn then_silence(mut self) -> Reply {
        self.end = Some(Step::Hang);
        self
    }

    /// The steps of the answer; without the body if the request was a HEAD.
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
