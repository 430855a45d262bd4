//! What the edge must know before it asks anything.

/// A question that a policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// [`Policy::on_request`](crate::Policy::on_request)
    OnRequest,
    /// [`Policy::on_response`](crate::Policy::on_response)
    OnResponse,
    /// [`Policy::plan_warm`](crate::Policy::plan_warm)
    PlanWarm,
}

/// The hooks that a policy answers, the inputs that its decisions depend on, and the finite set of
/// its variants.
///
/// The edge fills in only what is named here, and remembers decisions by it: the less it names, the
/// more often a decision is found remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// Hooks that are not named are never called.
    pub hooks: Vec<Hook>,
    /// Request fields that the policy reads; at most 32.
    pub headers: Vec<String>,
    /// Cookies that the policy reads; at most 32.
    pub cookies: Vec<String>,
    /// Response fields that the policy reads; at most 32.
    pub response_headers: Vec<String>,
    /// Whether decisions depend on the query.
    pub query: bool,
    /// Whether decisions depend on the device class.
    pub device: bool,
    /// The IANA name of the zone whose local time decisions depend on.
    pub zone: Option<String>,
    /// Every variant that `on_request` may answer, beside none; at most 32.
    pub variants: Vec<String>,
}

impl Manifest {
    /// No hooks and no inputs.
    pub fn new() -> Manifest {
        Manifest::default()
    }

    /// Answers [`Policy::on_request`](crate::Policy::on_request).
    pub fn on_request(self) -> Manifest {
        self.hook(Hook::OnRequest)
    }

    /// Answers [`Policy::on_response`](crate::Policy::on_response).
    pub fn on_response(self) -> Manifest {
        self.hook(Hook::OnResponse)
    }

    /// Answers [`Policy::plan_warm`](crate::Policy::plan_warm).
    pub fn plan_warm(self) -> Manifest {
        self.hook(Hook::PlanWarm)
    }

    /// Answers that hook.
    pub fn hook(mut self, hook: Hook) -> Manifest {
        if !self.hooks.contains(&hook) {
            self.hooks.push(hook);
        }
        self
    }

    /// Reads that request field.
    pub fn header(mut self, name: impl Into<String>) -> Manifest {
        self.headers.push(name.into());
        self
    }

    /// Reads that cookie.
    pub fn cookie(mut self, name: impl Into<String>) -> Manifest {
        self.cookies.push(name.into());
        self
    }

    /// Reads that response field.
    pub fn response_header(mut self, name: impl Into<String>) -> Manifest {
        self.response_headers.push(name.into());
        self
    }

    /// Reads the query.
    pub fn query(mut self) -> Manifest {
        self.query = true;
        self
    }

    /// Reads the device class.
    pub fn device(mut self) -> Manifest {
        self.device = true;
        self
    }

    /// Reads the local time of that zone, an IANA name such as `America/Argentina/Buenos_Aires`.
    pub fn zone(mut self, name: impl Into<String>) -> Manifest {
        self.zone = Some(name.into());
        self
    }

    /// May answer these variants.
    pub fn variants<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Manifest {
        self.variants.extend(names.into_iter().map(Into::into));
        self
    }
}
