//! The pages of warming plans.

/// A page that visitors requested in the hours that a plan prepares for.
///
/// ```
/// use tero_policy::PopularPage;
///
/// let page = PopularPage::new("/barberias?zona=palermo", 9).variant("mobile");
/// assert_eq!((page.path(), page.requests), ("/barberias", 9));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PopularPage {
    /// The path with its query.
    pub url: String,
    /// How often it was requested.
    pub requests: u64,
    /// The variant in which it was requested; `None` if the policies chose none.
    pub variant: Option<String>,
}

impl PopularPage {
    /// A page without a variant. For tests.
    ///
    /// ```
    /// # use tero_policy::PopularPage;
    /// assert_eq!(PopularPage::new("/", 9).requests, 9);
    /// ```
    pub fn new(url: impl Into<String>, requests: u64) -> PopularPage {
        PopularPage {
            url: url.into(),
            requests,
            variant: None,
        }
    }

    /// The same page in a variant. For tests.
    ///
    /// ```
    /// # use tero_policy::PopularPage;
    /// assert_eq!(PopularPage::new("/", 9).variant("mobile").variant.as_deref(), Some("mobile"));
    /// ```
    pub fn variant(mut self, name: impl Into<String>) -> PopularPage {
        self.variant = Some(name.into());
        self
    }

    /// The path, without the query.
    ///
    /// ```
    /// # use tero_policy::PopularPage;
    /// assert_eq!(PopularPage::new("/turnos?dia=hoy", 1).path(), "/turnos");
    /// ```
    pub fn path(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

/// A page to fetch ahead of demand.
///
/// ```
/// use tero_policy::WarmUrl;
///
/// let page = WarmUrl::new("/barberias").variants(["mobile", "desktop"]).priority(255);
/// assert_eq!(page.variants.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WarmUrl {
    /// The path with its query (`/barberias?zona=palermo`), on the plan's site.
    pub url: String,
    /// Names of variants or device classes; if empty, those of the plan.
    pub variants: Vec<String>,
    /// Pages with a higher priority are fetched first. The default is 0.
    pub priority: u8,
}

impl WarmUrl {
    /// The page in the variants of the plan, with priority 0.
    ///
    /// ```
    /// # use tero_policy::WarmUrl;
    /// assert_eq!(WarmUrl::new("/").priority, 0);
    /// ```
    pub fn new(url: impl Into<String>) -> WarmUrl {
        WarmUrl {
            url: url.into(),
            ..WarmUrl::default()
        }
    }

    /// Adds variants or device classes.
    ///
    /// ```
    /// # use tero_policy::WarmUrl;
    /// assert_eq!(WarmUrl::new("/").variants(["mobile"]).variants, ["mobile"]);
    /// ```
    pub fn variants<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> WarmUrl {
        self.variants.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets the priority. Pages with a higher priority are fetched first.
    ///
    /// ```
    /// # use tero_policy::WarmUrl;
    /// assert_eq!(WarmUrl::new("/").priority(255).priority, 255);
    /// ```
    pub fn priority(mut self, priority: u8) -> WarmUrl {
        self.priority = priority;
        self
    }
}
