//! Changes of fields, and answers that a policy gives by itself.

/// A change of a field: it is set to a value, or removed.
///
/// ```
/// use tero_policy::{FieldEdit, RequestDecision};
///
/// let decision = RequestDecision::new().set_response_field("x-robots-tag", "noindex");
/// assert_eq!(decision.response_edits, [FieldEdit::set("x-robots-tag", "noindex")]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldEdit {
    /// The name, one of the manifest's for this message.
    pub name: String,
    /// The value: 1 to 4096 visible ASCII characters, and spaces between them. `None` removes the
    /// field.
    pub value: Option<String>,
}

impl FieldEdit {
    /// Sets a field.
    ///
    /// ```
    /// # use tero_policy::FieldEdit;
    /// assert_eq!(FieldEdit::set("x-a", "1").value.as_deref(), Some("1"));
    /// ```
    pub fn set(name: impl Into<String>, value: impl Into<String>) -> FieldEdit {
        FieldEdit {
            name: name.into(),
            value: Some(value.into()),
        }
    }

    /// Removes a field.
    ///
    /// ```
    /// # use tero_policy::FieldEdit;
    /// assert_eq!(FieldEdit::remove("server").value, None);
    /// ```
    pub fn remove(name: impl Into<String>) -> FieldEdit {
        FieldEdit {
            name: name.into(),
            value: None,
        }
    }
}

/// An answer of the policy's own: a redirect, `robots.txt`, a maintenance page.
///
/// ```
/// use tero_policy::{Answer, RequestDecision};
///
/// let decision = RequestDecision::new().answer(Answer::redirect(301, "/new"));
/// assert_eq!(decision.answer.unwrap().status, 301);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Answer {
    /// 200 to 599, but not 204 to 206 or 304.
    pub status: u16,
    /// The fields: at most 32. The length is added.
    pub fields: Vec<(String, String)>,
    /// The content: at most 64 KiB.
    pub body: String,
}

impl Answer {
    /// An answer without fields and content.
    ///
    /// ```
    /// # use tero_policy::Answer;
    /// assert_eq!(Answer::new(410).status, 410);
    /// ```
    pub fn new(status: u16) -> Answer {
        Answer {
            status,
            fields: Vec::new(),
            body: String::new(),
        }
    }

    /// A redirect: 301 and 308 are for good, 302 and 307 for now; 307 and 308 keep the method.
    ///
    /// ```
    /// # use tero_policy::Answer;
    /// let answer = Answer::redirect(308, "/new");
    /// assert_eq!(answer.fields, [("location".to_owned(), "/new".to_owned())]);
    /// ```
    pub fn redirect(status: u16, location: impl Into<String>) -> Answer {
        Answer::new(status).field("location", location)
    }

    /// A 200 with plain text.
    ///
    /// ```
    /// # use tero_policy::Answer;
    /// let robots = Answer::text("User-agent: *\nDisallow: /\n");
    /// assert_eq!(robots.fields[0].1, "text/plain; charset=utf-8");
    /// ```
    pub fn text(body: impl Into<String>) -> Answer {
        Answer::new(200)
            .field("content-type", "text/plain; charset=utf-8")
            .body(body)
    }

    /// A page in HTML with this status.
    ///
    /// ```
    /// # use tero_policy::Answer;
    /// let page = Answer::html(503, "<p>Back soon</p>").field("retry-after", "600");
    /// assert_eq!((page.status, page.fields.len()), (503, 2));
    /// ```
    pub fn html(status: u16, body: impl Into<String>) -> Answer {
        Answer::new(status)
            .field("content-type", "text/html; charset=utf-8")
            .body(body)
    }

    /// Adds a field.
    ///
    /// ```
    /// # use tero_policy::Answer;
    /// assert_eq!(Answer::new(410).field("x-a", "1").fields.len(), 1);
    /// ```
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Answer {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sets the content.
    ///
    /// ```
    /// # use tero_policy::Answer;
    /// assert_eq!(Answer::new(410).body("gone").body, "gone");
    /// ```
    pub fn body(mut self, body: impl Into<String>) -> Answer {
        self.body = body.into();
        self
    }
}
