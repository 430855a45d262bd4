//! The manifest: the facts that the edge must know before it asks a policy.

/// A question that a policy answers.
///
/// ```
/// use tero_policy::{Hook, Manifest};
///
/// assert_eq!(Manifest::new().on_response().hooks, [Hook::OnResponse]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// [`Policy::on_request`](crate::Policy::on_request)
    OnRequest,
    /// [`Policy::on_response`](crate::Policy::on_response)
    OnResponse,
    /// [`Policy::plan_warm`](crate::Policy::plan_warm)
    PlanWarm,
}

/// The manifest of a policy: the hooks that it answers, the inputs that its decisions depend on,
/// and the finite set of its variants.
///
/// The edge fills in only the inputs that are named here, and remembers decisions by them. The
/// fewer inputs a policy names, the more often a remembered decision is found.
///
/// ```
/// use tero_policy::Manifest;
///
/// let manifest = Manifest::new()
///     .on_request()
///     .on_response()
///     .cookie("plan")
///     .zone("America/Argentina/Buenos_Aires")
///     .variants(["mobile"]);
/// assert_eq!(manifest.cookies, ["plan"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The hooks that the policy answers. Others are never called.
    pub hooks: Vec<Hook>,
    /// Request fields that the policy reads; at most 32.
    pub headers: Vec<String>,
    /// Cookies that the policy reads; at most 32. A name may end in `*`: it stands for every cookie
    /// whose name begins so.
    pub cookies: Vec<String>,
    /// Response fields that the policy reads; at most 32.
    pub response_headers: Vec<String>,
    /// Whether decisions depend on the query.
    pub query: bool,
    /// Whether decisions depend on the device class.
    pub device: bool,
    /// The IANA name of the zone whose local time decisions depend on.
    pub zone: Option<String>,
    /// Every variant that `on_request` may choose; at most 32. It may always choose no variant.
    pub variants: Vec<String>,
}

impl Manifest {
    /// A manifest without hooks and inputs.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new(), Manifest::default());
    /// ```
    pub fn new() -> Manifest {
        Manifest::default()
    }

    /// Answers [`Policy::on_request`](crate::Policy::on_request).
    ///
    /// ```
    /// # use tero_policy::{Hook, Manifest};
    /// assert_eq!(Manifest::new().on_request().hooks, [Hook::OnRequest]);
    /// ```
    pub fn on_request(self) -> Manifest {
        self.hook(Hook::OnRequest)
    }

    /// Answers [`Policy::on_response`](crate::Policy::on_response).
    ///
    /// ```
    /// # use tero_policy::{Hook, Manifest};
    /// assert_eq!(Manifest::new().on_response().hooks, [Hook::OnResponse]);
    /// ```
    pub fn on_response(self) -> Manifest {
        self.hook(Hook::OnResponse)
    }

    /// Answers [`Policy::plan_warm`](crate::Policy::plan_warm).
    ///
    /// ```
    /// # use tero_policy::{Hook, Manifest};
    /// assert_eq!(Manifest::new().plan_warm().hooks, [Hook::PlanWarm]);
    /// ```
    pub fn plan_warm(self) -> Manifest {
        self.hook(Hook::PlanWarm)
    }

    /// Answers this hook.
    ///
    /// ```
    /// # use tero_policy::{Hook, Manifest};
    /// let manifest = Manifest::new().hook(Hook::PlanWarm).hook(Hook::PlanWarm);
    /// assert_eq!(manifest.hooks, [Hook::PlanWarm]);
    /// ```
    pub fn hook(mut self, hook: Hook) -> Manifest {
        if !self.hooks.contains(&hook) {
            self.hooks.push(hook);
        }
        self
    }

    /// Reads this request field.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().header("accept-language").headers, ["accept-language"]);
    /// ```
    pub fn header(mut self, name: impl Into<String>) -> Manifest {
        self.headers.push(name.into());
        self
    }

    /// Reads this cookie, or every cookie whose name begins with what stands before a `*` at the
    /// end.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().cookie("plan").cookies, ["plan"]);
    /// assert_eq!(Manifest::new().cookie("session_*").cookies, ["session_*"]);
    /// ```
    pub fn cookie(mut self, name: impl Into<String>) -> Manifest {
        self.cookies.push(name.into());
        self
    }

    /// Reads this response field.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().response_header("x-price").response_headers, ["x-price"]);
    /// ```
    pub fn response_header(mut self, name: impl Into<String>) -> Manifest {
        self.response_headers.push(name.into());
        self
    }

    /// Reads the query.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().query().query);
    /// ```
    pub fn query(mut self) -> Manifest {
        self.query = true;
        self
    }

    /// Reads the device class.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().device().device);
    /// ```
    pub fn device(mut self) -> Manifest {
        self.device = true;
        self
    }

    /// Reads the local time of this zone, an IANA name such as `America/Argentina/Buenos_Aires`.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().zone("UTC").zone.as_deref(), Some("UTC"));
    /// ```
    pub fn zone(mut self, name: impl Into<String>) -> Manifest {
        self.zone = Some(name.into());
        self
    }

    /// May choose these variants.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().variants(["mobile", "tablet"]).variants, ["mobile", "tablet"]);
    /// ```
    pub fn variants<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Manifest {
        self.variants.extend(names.into_iter().map(Into::into));
        self
    }
}
