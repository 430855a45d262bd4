//! Paths of requests: patterns over them, and the ways in which origins may read them (RFC 3986
//! §5.2.4, §6.2.2).
//!
//! A key has the path byte by byte ([`key`](crate::key)), and the origin gets it so. But origins
//! resolve dot segments, merge slashes and decode: a rule that protects pages must hold for every
//! path that leads to them. The matcher is the one of the SDK for policies, as source: neither side
//! depends on the other, and a rule means the same in a policy and in the configuration.

#[path = "../../../sdk/rust/src/path_pattern.rs"]
mod pattern;

pub use pattern::{PathPattern, PathReadings, any_matches, first_idle, first_match};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// A way to write a path that leads some origin to the same page.
    #[derive(Clone, Debug)]
    enum Disguise {
        RepeatSlash,
        AddDot(&'static str),
        AddDetour(&'static str),
        AddParameter(&'static str),
        Encode(usize),
        EncodeTwice(usize),
        Backslash,
    }

    fn disguise() -> impl Strategy<Value = Disguise> {
        prop_oneof![
            Just(Disguise::RepeatSlash),
            select(vec![".", "%2e", "%252E"]).prop_map(Disguise::AddDot),
            select(vec![
                "x/..",
                "x/%2e.",
                "x/y/../..",
                "x/%252e%2e",
                "..",
                "x/..;a=b"
            ])
            .prop_map(Disguise::AddDetour),
            select(vec![";", ";v=1", "%3bv", ";jsessionid=A.b"]).prop_map(Disguise::AddParameter),
            any::<usize>().prop_map(Disguise::Encode),
            any::<usize>().prop_map(Disguise::EncodeTwice),
            Just(Disguise::Backslash),
        ]
    }

    /// The path with one more disguise, at its slash with this number.
    fn disguised(path: &str, disguise: &Disguise, slash: usize) -> String {
        let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        let at = slashes[slash % slashes.len()];
        let (before, after) = path.split_at(at);
        let encode = |place: usize, escape: &str| {
            let place = 1 + place % (path.len() - 1);
            let byte = path.as_bytes()[place];
            match byte {
                b'%' => path.to_owned(),
                _ => format!("{}{escape}{byte:02x}{}", &path[..place], &path[place + 1..]),
            }
        };
        match disguise {
            Disguise::RepeatSlash => format!("{before}/{after}"),
            Disguise::AddDot(dot) => format!("{before}/{dot}{after}"),
            // Up from the root is the root.
            Disguise::AddDetour("..") => format!("/..{path}"),
            Disguise::AddDetour(detour) => format!("{before}/{detour}{after}"),
            Disguise::AddParameter(_) if at == 0 => path.to_owned(),
            Disguise::AddParameter(parameter) => format!("{before}{parameter}{after}"),
            Disguise::Encode(place) => encode(*place, "%"),
            Disguise::EncodeTwice(place) => encode(*place, "%25"),
            Disguise::Backslash if at == 0 => path.to_owned(),
            Disguise::Backslash => format!("{before}\\{}", &after[1..]),
        }
    }

    proptest! {
        #[test]
        fn no_disguise_of_a_path_evades_a_rule(
            base in select(vec!["/pagos/1", "/pagos/tarjeta/alta", "/pagos/a.b"]),
            disguises in proptest::collection::vec((disguise(), any::<usize>()), 0..6),
        ) {
            let pattern: PathPattern = "/pagos/*".parse().unwrap();
            let mut path = base.to_owned();
            for (disguise, slash) in &disguises {
                path = disguised(&path, disguise, *slash);
            }
            prop_assert!(pattern.protects(&path), "{path}");
        }

        #[test]
        fn whatever_a_pattern_matches_it_protects(
            pattern in "[/*][a-c/*.%;]{0,6}",
            path in "/[a-c/.%;25f\\\\é]{0,12}",
        ) {
            let pattern: PathPattern = pattern.parse().unwrap();
            prop_assert!(!pattern.matches(&path) || pattern.protects(&path));
            let everything: PathPattern = "*".parse().unwrap();
            prop_assert!(everything.protects(&path));
        }
    }
}
