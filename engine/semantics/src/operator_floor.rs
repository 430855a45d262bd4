//! The operator's floor: paths that are never stored, paths where no policy answers by itself, and
//! greatest lifetimes. It holds above every policy and every field, however a path is written.

use std::time::Duration;

use super::path::{PathPattern, PathReadings};

/// How long a response may be used at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeBound {
    /// How long it is fresh, in whole seconds.
    pub ttl: Duration,
    /// How long each of its stale windows is, in whole seconds.
    pub stale: Duration,
}

/// Paths whose responses have a greatest lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundedPaths {
    /// The paths.
    pub patterns: Vec<PathPattern>,
    /// The bound.
    pub bound: LifetimeBound,
}

/// The floor of a site.
///
/// ```
/// use std::time::Duration;
/// use tero_semantics::operator_floor::{BoundedPaths, LifetimeBound, OperatorFloor};
///
/// let minute = LifetimeBound { ttl: Duration::from_secs(60), stale: Duration::ZERO };
/// let floor = OperatorFloor {
///     never: vec!["/pagos/*".parse().unwrap()],
///     never_answered: vec!["/admin/*".parse().unwrap()],
///     at_most: vec![BoundedPaths { patterns: vec!["/api/*".parse().unwrap()], bound: minute }],
/// };
/// assert!(floor.ruling("/pagos/1").never);
/// assert!(floor.ruling("/api/..//pagos/1").never);
/// assert!(floor.ruling("/admin/").forbids_answers);
/// assert_eq!(floor.ruling("/api/prices").at_most, Some(minute));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorFloor {
    /// Paths that are neither looked up nor stored.
    pub never: Vec<PathPattern>,
    /// Paths where no policy answers by itself.
    pub never_answered: Vec<PathPattern>,
    /// Paths with greatest lifetimes. All that match hold.
    pub at_most: Vec<BoundedPaths>,
}

/// What the floor says of a path. The `Default` says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloorRuling {
    /// It is neither looked up nor stored.
    pub never: bool,
    /// No policy answers by itself.
    pub forbids_answers: bool,
    /// How long its responses may be used at most.
    pub at_most: Option<LifetimeBound>,
}

impl OperatorFloor {
    /// What it says of a path.
    pub fn ruling(&self, path: &str) -> FloorRuling {
        let path = PathReadings::of(path);
        let bounds = self.at_most.iter();
        let bounds = bounds.filter(|bounded| path.are_met_by(&bounded.patterns));
        FloorRuling {
            never: path.are_met_by(&self.never),
            forbids_answers: path.are_met_by(&self.never_answered),
            at_most: bounds
                .map(|bounded| bounded.bound)
                .reduce(LifetimeBound::with),
        }
    }

    /// The pattern by which a path is never stored.
    pub fn never_by(&self, path: &str) -> Option<&PathPattern> {
        PathReadings::of(path).first_met(&self.never)
    }

    /// The pattern by which no policy answers a path by itself.
    pub fn never_answered_by(&self, path: &str) -> Option<&PathPattern> {
        PathReadings::of(path).first_met(&self.never_answered)
    }

    /// The patterns by which a path has a greatest lifetime, one of each rule that holds.
    pub fn at_most_by(&self, path: &str) -> Vec<&PathPattern> {
        let path = PathReadings::of(path);
        let rules = self.at_most.iter();
        rules
            .filter_map(|bounded| path.first_met(&bounded.patterns))
            .collect()
    }
}

impl FloorRuling {
    /// Both rulings together: what either forbids, and the lesser of each bound.
    #[must_use]
    pub fn and(self, other: FloorRuling) -> FloorRuling {
        FloorRuling {
            never: self.never || other.never,
            forbids_answers: self.forbids_answers || other.forbids_answers,
            at_most: match (self.at_most, other.at_most) {
                (Some(one), Some(other)) => Some(one.with(other)),
                (one, other) => one.or(other),
            },
        }
    }
}

impl LifetimeBound {
    /// Both bounds together: the lesser of each.
    fn with(self, other: LifetimeBound) -> LifetimeBound {
        LifetimeBound {
            ttl: self.ttl.min(other.ttl),
            stale: self.stale.min(other.stale),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(never: &[&str], at_most: &[(&str, u64, u64)]) -> OperatorFloor {
        let pattern = |text: &str| text.parse::<PathPattern>().unwrap();
        let bounded = |(text, ttl, stale): &(&str, u64, u64)| BoundedPaths {
            patterns: vec![pattern(text)],
            bound: bound(*ttl, *stale),
        };
        OperatorFloor {
            never: never.iter().map(|text| pattern(text)).collect(),
            never_answered: vec![pattern("/admin/*")],
            at_most: at_most.iter().map(bounded).collect(),
        }
    }

    fn bound(ttl: u64, stale: u64) -> LifetimeBound {
        LifetimeBound {
            ttl: Duration::from_secs(ttl),
            stale: Duration::from_secs(stale),
        }
    }

    #[test]
    fn of_several_bounds_the_least_holds() {
        let floor = floor(
            &["/pagos/*"],
            &[("/api/*", 60, 10), ("*/precios", 30, 20), ("/x", 1, 1)],
        );
        let ruling = |path| floor.ruling(path);
        assert_eq!(ruling("/"), FloorRuling::default());
        assert_eq!(ruling("/api/a").at_most, Some(bound(60, 10)));
        assert_eq!(ruling("/api/precios").at_most, Some(bound(30, 10)));
        assert_eq!(ruling("/api//precios").at_most, Some(bound(30, 10)));
        assert!(ruling("/pagos/1").never && !ruling("/pagos").never);
        assert!(ruling("/api/%2e%2e/pagos/1").never);
        assert!(ruling("/x/..//admin/1").forbids_answers && !ruling("/admin").forbids_answers);
        assert!(!ruling("/admin/1").never && !ruling("/pagos/1").forbids_answers);
        let both = ruling("/api/a")
            .and(ruling("/api/precios"))
            .and(ruling("/pagos/1"));
        assert_eq!((both.never, both.at_most), (true, Some(bound(30, 10))));
        assert_eq!(ruling("/").and(ruling("/api/a")), ruling("/api/a"));
        let by = |path| {
            let by = floor.at_most_by(path).into_iter();
            by.map(PathPattern::as_str).collect::<Vec<_>>()
        };
        assert_eq!(by("/api/precios"), ["/api/*", "*/precios"]);
        assert_eq!(floor.never_by("//pagos/1").unwrap().as_str(), "/pagos/*");
        assert_eq!(floor.never_by("/api/1"), None);
    }
}
