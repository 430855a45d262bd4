//! The manifest: the facts that the edge must know before it asks a policy, and what it may do.

use crate::QueryRule;

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
/// the finite set of its variants, and what else it may do.
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
    /// Whether decisions depend on how the device class was found.
    pub device_source: bool,
    /// The IANA name of the zone whose local time decisions depend on.
    pub zone: Option<String>,
    /// How much of the client's address decisions depend on.
    pub network: Option<NetworkPrefix>,
    /// Whether decisions depend on the client's country.
    pub country: bool,
    /// Whether decisions depend on the client's region.
    pub region: bool,
    /// How decisions depend on the visitor's bucket.
    pub bucket: Option<BucketRule>,
    /// Whether decisions depend on the route of the configuration that matched.
    pub route: bool,
    /// The data tables that the policy looks things up in; at most 16.
    pub tables: Vec<String>,
    /// Every variant that `on_request` may choose; at most 32. It may always choose no variant.
    pub variants: Vec<String>,
    /// Rules for the query that `on_request` may choose by their places; at most 32.
    pub query_rules: Vec<QueryRule>,
    /// The names of the parts that `on_request` may add to the key; at most 8.
    pub key_parts: Vec<String>,
    /// The origins that `on_request` may choose, by their names in the configuration; at most 32.
    pub origins: Vec<String>,
    /// The classes of rate limits that `on_request` may choose, by their names in the
    /// configuration; at most 32.
    pub rate_classes: Vec<String>,
    /// Fields that `on_request` may set and remove in the request to the origin; at most 32.
    pub request_edits: Vec<String>,
    /// Fields that `on_request` may set and remove in every response to a client; at most 32.
    pub response_edits: Vec<String>,
    /// Fields that `on_response` may set and remove in a response before it is stored; at most 32.
    pub stored_edits: Vec<String>,
    /// Whether `on_request` may give the path and the query that the origin is asked for.
    pub rewrite: bool,
    /// Whether `on_request` may answer by itself.
    pub answer: bool,
    /// Whether `on_request` may give a word for the access log.
    pub log_tag: bool,
    /// Whether `on_response` may refuse a place in the store.
    pub admission: bool,
    /// Whether `on_response` may give errors a lifetime.
    pub error_ttl: bool,
    /// Whether `on_response` may give an instant at which the stored response ends.
    pub expiry: bool,
    /// The patterns by which decisions depend on the path; `None` if they depend on all of it.
    pub path_patterns: Option<Vec<String>>,
    /// With `path_patterns`, whether `on_response` depends on a response's length and key too.
    pub each_response: bool,
}

/// How much of a client's address a policy is told: so many bits of an IPv4 address (0 to 32) or of
/// an IPv6 address (0 to 128). The fewer bits, the fewer decisions.
///
/// ```
/// use tero_policy::{Manifest, NetworkPrefix};
///
/// let manifest = Manifest::new().network(NetworkPrefix { ipv4: 24, ipv6: 48 });
/// assert_eq!(manifest.network.unwrap().ipv4, 24);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkPrefix {
    /// 0 to 32.
    pub ipv4: u8,
    /// 0 to 128.
    pub ipv6: u8,
}

/// How visitors are divided into buckets. A visitor stays in its bucket: it is a hash of the
/// experiment's name and of the cookie, or of the client's network where the cookie is missing or
/// none is named. tero sets no cookie.
///
/// ```
/// use tero_policy::{BucketRule, Manifest};
///
/// let manifest = Manifest::new().bucket(BucketRule::new("checkout", 2).by_cookie("visitor"));
/// assert_eq!(manifest.bucket.unwrap().buckets, 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct BucketRule {
    /// 1 to 64 bytes of visible ASCII. Different experiments divide visitors differently.
    pub experiment: String,
    /// The number of buckets: 2 to 10,000. Each is a decision of its own.
    pub buckets: u16,
    /// A cookie of the application that stays with a visitor.
    pub cookie: Option<String>,
    /// The client's network, for visitors without the cookie.
    pub network: NetworkPrefix,
}

impl BucketRule {
    /// So many buckets, by the client's address: by all bits of IPv4, and 64 bits of IPv6.
    ///
    /// ```
    /// # use tero_policy::BucketRule;
    /// assert_eq!(BucketRule::new("checkout", 2).cookie, None);
    /// ```
    pub fn new(experiment: impl Into<String>, buckets: u16) -> BucketRule {
        BucketRule {
            experiment: experiment.into(),
            buckets,
            cookie: None,
            network: NetworkPrefix { ipv4: 32, ipv6: 64 },
        }
    }

    /// By this cookie, for visitors that have it.
    ///
    /// ```
    /// # use tero_policy::BucketRule;
    /// let rule = BucketRule::new("checkout", 2).by_cookie("visitor");
    /// assert_eq!(rule.cookie.as_deref(), Some("visitor"));
    /// ```
    pub fn by_cookie(mut self, name: impl Into<String>) -> BucketRule {
        self.cookie = Some(name.into());
        self
    }

    /// By this much of the client's address, for visitors without the cookie.
    ///
    /// ```
    /// # use tero_policy::{BucketRule, NetworkPrefix};
    /// let rule = BucketRule::new("checkout", 2).by_network(NetworkPrefix { ipv4: 24, ipv6: 48 });
    /// assert_eq!(rule.network.ipv6, 48);
    /// ```
    pub fn by_network(mut self, network: NetworkPrefix) -> BucketRule {
        self.network = network;
        self
    }
}

impl Manifest {
    /// The most [path patterns](Manifest::path_patterns) that the edge is told.
    pub const MAX_PATH_PATTERNS: usize = 256;

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

    /// Says that decisions depend on the path only by which of these [patterns](crate::PathPattern) match
    /// it, and by none if they do not depend on it at all. The edge then asks once for all pages that the
    /// same patterns match. A decision for one of them, with its reason, must hold for the others; `tero
    /// policy fuzz` checks that. A pattern may be given twice. With more than
    /// [`Manifest::MAX_PATH_PATTERNS`], the edge is told that decisions depend on the whole path.
    ///
    /// [`Response::length`](crate::Response::length) and
    /// [`Response::key_hash`](crate::Response::key_hash) are not told any more, unless
    /// [`Manifest::each_response`] asks for them.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// let manifest = Manifest::new().on_response().path_patterns(["/", "/shops/*"]);
    /// let manifest = manifest.path_patterns(["/about", "/shops/*"]);
    /// assert_eq!(manifest.path_patterns.unwrap(), ["/", "/about", "/shops/*"]);
    /// ```
    pub fn path_patterns<S: ToString>(mut self, patterns: impl IntoIterator<Item = S>) -> Manifest {
        let patterns = patterns.into_iter().map(|pattern| pattern.to_string());
        let all = self.path_patterns.get_or_insert_default();
        all.extend(patterns);
        all.sort_unstable();
        all.dedup();
        self
    }

    /// Wants to be asked about each response, for its length or its [spread](crate::Response::spread),
    /// though the [path](Manifest::path_patterns) counts by patterns alone.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().path_patterns(["*.css"]).each_response().each_response);
    /// ```
    pub fn each_response(mut self) -> Manifest {
        self.each_response = true;
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

    /// Reads how the device class was found.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().device_source().device_source);
    /// ```
    pub fn device_source(mut self) -> Manifest {
        self.device_source = true;
        self
    }

    /// Reads this much of the client's address.
    ///
    /// ```
    /// # use tero_policy::{Manifest, NetworkPrefix};
    /// let manifest = Manifest::new().network(NetworkPrefix { ipv4: 24, ipv6: 48 });
    /// assert!(manifest.network.is_some());
    /// ```
    pub fn network(mut self, network: NetworkPrefix) -> Manifest {
        self.network = Some(network);
        self
    }

    /// Reads the client's country.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().country().country);
    /// ```
    pub fn country(mut self) -> Manifest {
        self.country = true;
        self
    }

    /// Reads the client's region.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().region().region);
    /// ```
    pub fn region(mut self) -> Manifest {
        self.region = true;
        self
    }

    /// Reads the visitor's bucket.
    ///
    /// ```
    /// # use tero_policy::{BucketRule, Manifest};
    /// assert!(Manifest::new().bucket(BucketRule::new("checkout", 2)).bucket.is_some());
    /// ```
    pub fn bucket(mut self, rule: BucketRule) -> Manifest {
        self.bucket = Some(rule);
        self
    }

    /// Reads the route of the configuration that matched.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().route().route);
    /// ```
    pub fn route(mut self) -> Manifest {
        self.route = true;
        self
    }

    /// Looks things up in this data table.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().table("prices").tables, ["prices"]);
    /// ```
    pub fn table(mut self, name: impl Into<String>) -> Manifest {
        self.tables.push(name.into());
        self
    }

    /// May choose these rules for the query, by their places.
    ///
    /// ```
    /// # use tero_policy::{Manifest, QueryRule};
    /// assert_eq!(Manifest::new().query_rules([QueryRule::default()]).query_rules.len(), 1);
    /// ```
    pub fn query_rules(mut self, rules: impl IntoIterator<Item = QueryRule>) -> Manifest {
        self.query_rules.extend(rules);
        self
    }

    /// May add these parts to the key.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().key_parts(["market"]).key_parts, ["market"]);
    /// ```
    pub fn key_parts<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Manifest {
        self.key_parts.extend(names.into_iter().map(Into::into));
        self
    }

    /// May choose these origins.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().origins(["eu"]).origins, ["eu"]);
    /// ```
    pub fn origins<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Manifest {
        self.origins.extend(names.into_iter().map(Into::into));
        self
    }

    /// May choose these classes of rate limits.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().rate_classes(["search"]).rate_classes, ["search"]);
    /// ```
    pub fn rate_classes<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Manifest {
        self.rate_classes.extend(names.into_iter().map(Into::into));
        self
    }

    /// May set and remove these fields in the request to the origin.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().request_edits(["x-tenant"]).request_edits, ["x-tenant"]);
    /// ```
    pub fn request_edits<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Manifest {
        self.request_edits.extend(names.into_iter().map(Into::into));
        self
    }

    /// May set and remove these fields in every response to a client.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().response_edits(["x-robots-tag"]).response_edits, ["x-robots-tag"]);
    /// ```
    pub fn response_edits<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Manifest {
        self.response_edits
            .extend(names.into_iter().map(Into::into));
        self
    }

    /// May set and remove these fields in a response before it is stored.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert_eq!(Manifest::new().stored_edits(["server"]).stored_edits, ["server"]);
    /// ```
    pub fn stored_edits<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Manifest {
        self.stored_edits.extend(names.into_iter().map(Into::into));
        self
    }

    /// May give the path and the query that the origin is asked for.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().rewrites().rewrite);
    /// ```
    pub fn rewrites(mut self) -> Manifest {
        self.rewrite = true;
        self
    }

    /// May answer by itself.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().answers().answer);
    /// ```
    pub fn answers(mut self) -> Manifest {
        self.answer = true;
        self
    }

    /// May give a word for the access log.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().log_tags().log_tag);
    /// ```
    pub fn log_tags(mut self) -> Manifest {
        self.log_tag = true;
        self
    }

    /// May refuse a response a place in the store.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().refuses_admission().admission);
    /// ```
    pub fn refuses_admission(mut self) -> Manifest {
        self.admission = true;
        self
    }

    /// May give errors a lifetime.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().error_ttls().error_ttl);
    /// ```
    pub fn error_ttls(mut self) -> Manifest {
        self.error_ttl = true;
        self
    }

    /// May give an instant at which the stored response ends.
    ///
    /// ```
    /// # use tero_policy::Manifest;
    /// assert!(Manifest::new().expires().expiry);
    /// ```
    pub fn expires(mut self) -> Manifest {
        self.expiry = true;
        self
    }
}
