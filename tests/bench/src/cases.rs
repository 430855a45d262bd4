//! The cases: each is a row of the report.

use crate::origin::Size;

/// A measurement that is made on every server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// The name on the command line and in the report.
    pub(crate) name: &'static str,
    /// A description for people.
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    /// The size of the bodies.
    pub(crate) size: Size,
    /// The number of connections that wrk keeps busy.
    pub(crate) connections: u32,
    /// The size of the cache of each server, in MiB.
    pub(crate) memory_mib: u32,
    /// Whether a run without named cases includes it.
    pub(crate) by_default: bool,
}

/// The kind of requests of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One stored object.
    Hit,
    /// One stored text, for a client that accepts gzip.
    Coded,
    /// Conditional requests for one stored object, answered with 304.
    NotModified,
    /// A thousand bytes of one stored object, answered with 206.
    Range,
    /// One stored object, with a new connection for each request.
    NewConnections,
    /// This many stored objects, requested by Zipf's law.
    Zipf(u32),
    /// This many stored objects, requested one after the other.
    Cycle(u32),
    /// A new object each time, from an origin that answers at once.
    Misses,
    /// A thousand stored objects, and a new object in every tenth request. Meanwhile, tero purges a
    /// tag ten times a second.
    Mixed,
    /// One object that is not stored, requested on all connections at once.
    Stampede,
    /// One stored object, at half of the rate that saturates the server.
    HalfLoad,
}

impl Case {
    pub(crate) const fn new(name: &'static str, about: &'static str, kind: Kind) -> Case {
        Case {
            name,
            about,
            kind,
            size: Size::of_kib(1),
            connections: 64,
            memory_mib: 256,
            by_default: false,
        }
    }

    pub(crate) const fn kib(mut self, kib: u32) -> Case {
        self.size = Size::of_kib(kib);
        self
    }

    pub(crate) const fn connections(mut self, connections: u32) -> Case {
        self.connections = connections;
        self
    }

    const fn memory_mib(mut self, memory_mib: u32) -> Case {
        self.memory_mib = memory_mib;
        self
    }

    const fn by_default(mut self) -> Case {
        self.by_default = true;
        self
    }

    /// The path of the first object.
    pub(crate) fn path(&self) -> String {
        match self.kind {
            Kind::Zipf(_) | Kind::Cycle(_) | Kind::Mixed => self.size.path(1),
            Kind::Coded => format!("/text/{}.html", self.size),
            _ => format!("/img/{}.bin", self.size),
        }
    }

    /// The number of objects that must be stored before the measurement.
    pub(crate) fn objects(&self) -> u32 {
        match self.kind {
            Kind::Zipf(objects) | Kind::Cycle(objects) => objects,
            Kind::Mixed => 1_000,
            _ => 0,
        }
    }

    /// Whether the floors' constant answer is comparable with tero's.
    pub(crate) fn has_floors(&self) -> bool {
        matches!(self.kind, Kind::Hit | Kind::NotModified | Kind::HalfLoad)
    }

    /// Whether requests reach the origin during the measurement.
    pub(crate) fn asks_origin(&self) -> bool {
        matches!(self.kind, Kind::Misses | Kind::Mixed | Kind::Stampede)
    }
}

/// All cases.
pub(crate) const CASES: [Case; 20] = [
    Case::new("hit-1k", "hits of 1 KiB", Kind::Hit).by_default(),
    Case::new("hit-10k", "hits of 10 KiB", Kind::Hit).kib(10),
    Case::new("hit-100k", "hits of 100 KiB", Kind::Hit)
        .kib(100)
        .by_default(),
    Case::new("hit-1m", "hits of 1 MiB", Kind::Hit)
        .kib(1024)
        .memory_mib(512),
    Case::new("hit-100m", "hits of 100 MiB, 4 connections", Kind::Hit)
        .kib(102_400)
        .connections(4)
        .memory_mib(1024),
    Case::new("not-modified", "304 answers for 1 KiB", Kind::NotModified).by_default(),
    Case::new("range", "1,000 bytes of 100 KiB", Kind::Range).kib(100),
    Case::new("connections-10", "hits of 1 KiB, 10 connections", Kind::Hit).connections(10),
    Case::new(
        "connections-100",
        "hits of 1 KiB, 100 connections",
        Kind::Hit,
    )
    .connections(100),
    Case::new(
        "connections-1000",
        "hits of 1 KiB, 1,000 connections",
        Kind::Hit,
    )
    .connections(1_000),
    Case::new(
        "connections-10000",
        "hits of 1 KiB, 10,000 connections",
        Kind::Hit,
    )
    .connections(10_000),
    Case::new(
        "new-connections",
        "hits of 1 KiB, a connection for each",
        Kind::NewConnections,
    ),
    Case::new(
        "zipf-1000",
        "hits of 1 KiB among 1,000 objects, Zipf",
        Kind::Zipf(1_000),
    ),
    Case::new(
        "zipf-1000000",
        "hits of 1 KiB among 1,000,000 objects, Zipf",
        Kind::Zipf(1_000_000),
    )
    .memory_mib(6_144),
    Case::new("miss", "misses of 1 KiB, fast origin", Kind::Misses)
        .memory_mib(1_024)
        .by_default(),
    Case::new(
        "mixed",
        "1 KiB among 1,000 objects, 10 % misses, purges by tag",
        Kind::Mixed,
    )
    .memory_mib(1_024),
    Case::new(
        "stampede",
        "1,000 requests at once for one cold object of 100 KiB",
        Kind::Stampede,
    )
    .kib(100)
    .connections(1_000),
    Case::new(
        "half-load",
        "hits of 1 KiB at half the saturating rate",
        Kind::HalfLoad,
    )
    .by_default(),
    Case::new(
        "half-load-100k",
        "hits of 100 KiB at half the saturating rate",
        Kind::HalfLoad,
    )
    .kib(100),
    Case::new(
        "half-load-1000",
        "hits of 1 KiB at half the saturating rate, 1,000 connections",
        Kind::HalfLoad,
    )
    .connections(1_000),
];

/// The cases named in `wanted`: `all` is all cases, and an empty list is the default ones.
pub(crate) fn chosen(wanted: &[String]) -> Result<Vec<Case>, String> {
    if wanted.is_empty() {
        return Ok(CASES.into_iter().filter(|case| case.by_default).collect());
    }
    if wanted.iter().any(|name| name == "all") {
        return Ok(CASES.to_vec());
    }
    let find = |name: &String| {
        CASES
            .into_iter()
            .find(|case| case.name == *name)
            .ok_or_else(|| {
                let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
                format!(
                    "there is no case {name}; write all or some of {}",
                    names.join(", ")
                )
            })
    };
    wanted.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name() {
        assert_eq!(chosen(&["all".to_owned()]).unwrap().len(), CASES.len());
        assert_eq!(chosen(&["miss".to_owned()]).unwrap()[0].kind, Kind::Misses);
        assert!(
            chosen(&["mis".to_owned()])
                .unwrap_err()
                .contains("hit-100k")
        );
        assert!(
            chosen(&[])
                .unwrap()
                .iter()
                .any(|case| case.name == "hit-1k")
        );
    }
}
