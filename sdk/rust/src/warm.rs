//! What warming plans are made of.

/// A page that visitors wanted in the hours that a plan prepares for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PopularPage {
    /// A path with its query.
    pub url: String,
    /// How often it was asked for.
    pub requests: u64,
    /// Under which variant; none where the policies named none.
    pub variant: Option<String>,
}

impl PopularPage {
    /// A page without variant. For tests.
    pub fn new(url: impl Into<String>, requests: u64) -> PopularPage {
        PopularPage {
            url: url.into(),
            requests,
            variant: None,
        }
    }

    /// The same page under a variant. For tests.
    pub fn variant(mut self, name: impl Into<String>) -> PopularPage {
        self.variant = Some(name.into());
        self
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

/// A page to fetch ahead of demand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WarmUrl {
    /// A path with its query (`/barberias?zona=palermo`), on the plan's site.
    pub url: String,
    /// Variants by name, or device classes by name; empty means those of the plan.
    pub variants: Vec<String>,
    /// The higher goes first; 0 unless said.
    pub priority: u8,
}

impl WarmUrl {
    /// The page in the variants of the plan, with priority 0.
    pub fn new(url: impl Into<String>) -> WarmUrl {
        WarmUrl {
            url: url.into(),
            ..WarmUrl::default()
        }
    }

    /// In these variants, or for these device classes.
    pub fn variants<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> WarmUrl {
        self.variants.extend(names.into_iter().map(Into::into));
        self
    }

    /// The higher goes first.
    pub fn priority(mut self, priority: u8) -> WarmUrl {
        self.priority = priority;
        self
    }
}
