//! The shipped policies, compiled by the build script and embedded as `builtin:NAME`.

/// Names, in alphabetical order, and core modules of WebAssembly.
static BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The module of a shipped policy: a core module of WebAssembly, which is made a component when it
/// is loaded.
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTIN
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, module)| *module)
}

/// The names of the shipped policies, in alphabetical order.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{HeaderMap, Method};

    use super::*;
    use crate::device::Device;
    use crate::facts::PopularPage;
    use crate::tests::answered;
    use crate::{Chain, Host, PolicyRequest};
    use tero_config as config;
    use tero_semantics::decision::{LookupDecision, QueryParameters, StoringDecision};
    use tero_semantics::timestamp::Timestamp;

    /// The old rules, variants and plans of the sample, and what the other policies add to them.
    const SETTINGS: [(&str, &str); 4] = [
        (
            "json-rules",
            include_str!("../../../../examples/barberpro/cdn-argentina-policies.json"),
        ),
        (
            "device-variants",
            r#"{"variants": [{"name": "crawler", "devices": ["bot"]}]}"#,
        ),
        (
            "business-hours",
            r#"{"zone": "America/Argentina/Buenos_Aires", "open": "09:00", "close": "18:00"}"#,
        ),
        ("popular-pages", r#"{"min_requests": 3}"#),
    ];

    fn chain() -> Chain {
        let host = Host::new(&config::PolicyHost {
            compiled_cache: None,
            ..Default::default()
        })
        .unwrap();
        let load = |(name, settings): (&str, &str)| {
            let policy = config::Policy {
                place: config::FilePosition::default(),
                name: Arc::from(name),
                module: config::ModuleSource::Builtin(name.to_owned()),
                settings: settings.to_owned(),
                calendar: Some(config::CalendarSource::Builtin("argentina".to_owned())),
                limits: config::PolicyLimits {
                    deadline: Duration::from_secs(5),
                    decisions_per_instance: 100,
                    max_failures: 1,
                    ..Default::default()
                },
            };
            host.load(&policy).unwrap()
        };
        Chain::new(&host, SETTINGS.into_iter().map(load).collect(), 64).unwrap()
    }

    #[test]
    fn every_shipped_policy_is_a_module() {
        let names: Vec<_> = builtin_names().collect();
        assert_eq!(
            names,
            [
                "business-hours",
                "device-variants",
                "json-rules",
                "popular-pages"
            ]
        );
        for name in names {
            assert!(
                builtin(name).unwrap().starts_with(b"\0asm\x01\0\0\0"),
                "{name}"
            );
        }
        assert_eq!(builtin("business_hours"), None);
    }

    #[test]
    fn the_shipped_policies_decide_together_as_modules() {
        let (chain, headers) = (chain(), HeaderMap::new());
        let at = |text: &str| {
            Timestamp::from_unix_secs(
                chrono::DateTime::parse_from_rfc3339(text)
                    .unwrap()
                    .timestamp(),
            )
        };
        let ask = |path, device, variant| PolicyRequest {
            method: &Method::GET,
            scheme: "https",
            host: "h",
            path,
            query: Some("b=1&utm_source=x"),
            headers: &headers,
            device,
            variant,
        };
        let noon = at("2026-12-25T12:00:00-03:00");
        let page = chain.on_request(&ask("/barberias/palermo", Device::Mobile, None), noon);
        assert_eq!(
            (page.lookup, page.variant.as_deref(), page.query.sort),
            (LookupDecision::Cache, Some("mobile"), true)
        );
        assert!(
            matches!(&page.query.parameters, QueryParameters::Ignore(names) if names.contains(&"utm_*".to_owned())),
            "{page:?}"
        );
        assert_eq!(
            chain
                .on_request(&ask("/", Device::Bot, None), noon)
                .variant
                .as_deref(),
            Some("crawler")
        );
        assert_eq!(
            chain
                .on_request(&ask("/checkout/1", Device::Mobile, None), noon)
                .lookup,
            LookupDecision::Pass
        );
        let decision = chain.on_response(
            &ask("/barberias/palermo", Device::Mobile, Some("mobile")),
            &answered(&headers),
            noon,
        );
        assert_eq!(
            (decision.storing, decision.ttl),
            (StoringDecision::Always, Some(Duration::from_secs(1_800)))
        );
        assert!(
            decision
                .reason
                .as_deref()
                .unwrap()
                .starts_with("json-rules: shop-pages: otherwise (holiday: Navidad)"),
            "{decision:?}"
        );
        let popular = [PopularPage {
            url: "/turnos/hoy".to_owned(),
            requests: 9,
            variant: Some("mobile".into()),
        }];
        let urls: Vec<String> = chain
            .plan_warm("apertura", &popular, noon)
            .into_iter()
            .map(|page| page.url)
            .collect();
        assert!(
            ["/", "/barberias/belgrano", "/turnos/hoy"]
                .iter()
                .all(|url| urls.iter().any(|other| other == url)),
            "{urls:?}"
        );
    }
}
