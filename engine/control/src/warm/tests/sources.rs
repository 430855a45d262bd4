//! The sources of pages and variants.

use super::*;

#[tokio::test]
async fn sources_are_joined_by_priority_and_cut_at_the_bound() {
    let page = |url: &str, variant: Option<&str>| PopularPage {
        url: url.to_owned(),
        requests: 1,
        variant: variant.map(Arc::from),
    };
    let of_policy = |url: &str, variants: &[&str], priority| WarmUrl {
        url: url.to_owned(),
        variants: strings(variants),
        priority,
    };
    let fake = FakePath {
        popular: vec![
            page("/v/popular", Some("mobile")),
            page("/second", None),
            page("/third", None),
        ],
        of_policies: vec![
            of_policy("/low", &[], 1),
            of_policy("/v/high", &["tablet"], 255),
            of_policy("nonsense", &[], 9),
        ],
        texts: HashMap::from([(
            "/sitemap.xml",
            "<urlset><url><loc>http://www.example/in-map</loc></url><url><loc>https://EXAMPLE/other-host#x</loc></url>\
             <url><loc>http://elsewhere.example/</loc></url><url><loc>http://www.example/list</loc></url></urlset>",
        )]),
        ..FakePath::new()
    };
    let plan = config::Plan {
        urls: strings(&["/list"]),
        sitemaps: strings(&["/sitemap.xml"]),
        popular: 2,
        max_urls: 6,
        concurrency: 1,
        ..plan()
    };
    let running = RunningWarmer::start(fake, vec![plan]);
    let report = running.run().await;
    assert_eq!(
        running.urls(),
        [
            "www.example/v/high",
            "www.example/list",
            "www.example/v/popular",
            "www.example/second",
            "www.example/in-map",
            "example/other-host"
        ]
    );
    assert_eq!(running.fetched()[0].1, Device::Tablet);
    assert_eq!(running.fetched()[2].1, Device::Mobile);
    assert_eq!((report.planned, report.left_out), (6, 1));
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("nonsense from a policy")),
        "{:?}",
        report.notes
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("names 1 pages that are not on this site")),
        "{:?}",
        report.notes
    );
    // The hours that the plan prepares for, the same hours of any day, and any hour.
    let asked = lock(&running.fake.seen).asked_hours.clone();
    let four = Hours::NONE.with(32).with(33).with(34).with(35);
    assert_eq!(asked, [four, four.on_every_day(), Hours::ALL]);
}

#[tokio::test]
async fn a_sitemap_may_name_hosts_below_a_name_unless_another_site_has_them() {
    let fake = FakePath {
        hosts: strings(&["*.names.example", "www.names.example", "*"]),
        texts: HashMap::from([(
            "/sitemap.xml",
            "<urlset><url><loc>http://a.b.names.example/below</loc></url>\
             <url><loc>http://blog.names.example/of-another-site</loc></url>\
             <url><loc>http://any.example/of-a-star</loc></url></urlset>",
        )]),
        ..FakePath::new()
    };
    let plan = config::Plan {
        sitemaps: strings(&["/sitemap.xml"]),
        ..plan()
    };
    let running = RunningWarmer::start(fake, vec![plan]);
    let report = running.run().await;
    assert_eq!(running.urls(), ["a.b.names.example/below"]);
    let note = "names 2 pages that are not on this site";
    assert!(
        report.notes.iter().any(|told| told.contains(note)),
        "{:?}",
        report.notes
    );
}

#[tokio::test]
async fn a_sitemap_index_is_followed_one_level_and_bad_sitemaps_are_noted() {
    let fake = FakePath {
        texts: HashMap::from([
            (
                "/index.xml",
                "<sitemapindex><sitemap><loc>http://www.example/1.xml</loc></sitemap><sitemap><loc>http://www.example/2.xml</loc>\
                 </sitemap><sitemap><loc>http://www.example/index.xml</loc></sitemap><sitemap><loc>http://other.example/3.xml</loc>\
                 </sitemap><sitemap><loc>http://www.example/missing.xml</loc></sitemap></sitemapindex>",
            ),
            (
                "/1.xml",
                "<urlset><url><loc>http://www.example/one</loc></url></urlset>",
            ),
            ("/2.xml", "<html>not found</html>"),
        ]),
        ..FakePath::new()
    };
    let running = RunningWarmer::start(
        fake,
        vec![config::Plan {
            sitemaps: strings(&["/index.xml"]),
            ..plan()
        }],
    );
    let report = running.run().await;
    assert_eq!(running.urls(), ["www.example/one"]);
    for part in [
        "/2.xml is <html>, not a sitemap",
        "index in an index",
        "other.example/3.xml is not on this site",
        "/missing.xml was answered with 404",
    ] {
        assert!(
            report.notes.iter().any(|note| note.contains(part)),
            "{part}: {:?}",
            report.notes
        );
    }
}

#[tokio::test]
async fn a_site_with_any_host_is_warmed_only_once_a_host_is_known() {
    let running = RunningWarmer::start(
        FakePath {
            hosts: strings(&["*"]),
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/"]),
            ..plan()
        }],
    );
    let report = running.run().await;
    assert_eq!((report.state, report.planned), (RunState::Failed, 0));
    assert!(report.notes[0].contains("takes any host"));
}

#[tokio::test]
async fn endless_and_surplus_sitemaps_cost_their_time_and_no_more() {
    let fake = FakePath {
        texts: HashMap::from([
            (
                "/1.xml",
                "<urlset><url><loc>http://www.example/one</loc></url></urlset>",
            ),
            (
                "/index.xml",
                "<sitemapindex><sitemap><loc>http://www.example/1.xml</loc></sitemap><sitemap><loc>http://www.example/2.xml</loc>\
                 </sitemap></sitemapindex>",
            ),
        ]),
        ..FakePath::new()
    };
    let sitemaps = strings(&["/endless.xml", "/index.xml", "/one-more.xml"]);
    let running = RunningWarmer::start(
        fake,
        vec![config::Plan {
            sitemaps,
            max_sitemaps: 3,
            urls: strings(&["/list"]),
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    let report = running.turn_until_over(run).await;
    // The endless one has failed; surplus ones have not.
    assert_eq!(
        (report.state, report.sitemaps_failed),
        (RunState::Failed, 1)
    );
    assert_eq!(running.urls(), ["www.example/list", "www.example/one"]);
    for part in [
        "/endless.xml did not end within sitemap_timeout",
        "1 sitemaps of an index are more than max_sitemaps",
        "/one-more.xml is one more than max_sitemaps",
    ] {
        assert!(
            report.notes.iter().any(|note| note.contains(part)),
            "{part}: {:?}",
            report.notes
        );
    }
}

#[tokio::test]
async fn lastmod_is_passed_on_and_decides_the_order() {
    let fake = FakePath {
        texts: HashMap::from([(
            "/s.xml",
            "<urlset><url><loc>http://www.example/old</loc><lastmod>2020-01-01</lastmod></url>\
             <url><loc>http://www.example/never</loc></url>\
             <url><loc>http://www.example/new</loc><lastmod>2026-11-24</lastmod></url></urlset>",
        )]),
        ..FakePath::new()
    };
    let running = RunningWarmer::start(
        fake,
        vec![config::Plan {
            sitemaps: strings(&["/s.xml"]),
            concurrency: 1,
            ..plan()
        }],
    );
    let report = running.run().await;
    assert_eq!(
        running.urls(),
        ["www.example/new", "www.example/old", "www.example/never"]
    );
    let purposes = lock(&running.fake.seen).purposes.clone();
    assert_eq!(
        purposes[0].changed,
        Some(Timestamp::from_unix_secs(1_795_478_400))
    );
    assert_eq!(
        (purposes[0].run.number(), purposes[0].until),
        (report.id, EIGHT.saturating_add(240 * MINUTE))
    );
    assert_eq!(purposes[2].changed, None);
}

#[tokio::test]
async fn files_of_pages_are_read_again_for_each_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pages.txt");
    std::fs::write(&file, "# the shops\n/a\n\n  /b?c=1\nnonsense\n").unwrap();
    let url_files = vec![file.clone(), folder.path().join("missing.txt")];
    let running = RunningWarmer::start(
        FakePath::new(),
        vec![config::Plan {
            url_files,
            concurrency: 1,
            ..plan()
        }],
    );
    let report = running.run().await;
    assert_eq!(running.urls(), ["www.example/a", "www.example/b?c=1"]);
    for part in [
        "nonsense from a file is not a path",
        "missing.txt can't be read",
    ] {
        assert!(
            report.notes.iter().any(|note| note.contains(part)),
            "{part}: {:?}",
            report.notes
        );
    }
    std::fs::write(&file, "/new\n").unwrap();
    running.run().await;
    assert_eq!(running.urls()[2..], ["www.example/new"]);
}

#[tokio::test]
async fn pages_are_fetched_in_the_variants_that_visitors_request_in_those_hours() {
    let wanted = |url: &str, variant: Option<&str>| PopularPage {
        url: url.to_owned(),
        requests: 5,
        variant: variant.map(Arc::from),
    };
    let popular = || {
        vec![
            wanted("/v/1", Some("mobile")),
            wanted("/v/2", None),
            wanted("/v/2", Some("mobile")),
        ]
    };
    let urls = || strings(&["/v/1", "/v/2", "/v/3"]);
    let got = |running: &RunningWarmer| {
        let mut fetched = running.fetched();
        fetched.sort();
        fetched
            .into_iter()
            .map(|(url, device)| {
                format!(
                    "{} {}",
                    url.trim_start_matches("www.example"),
                    device.as_str()
                )
            })
            .collect::<Vec<_>>()
    };
    let seen = RunningWarmer::start(
        FakePath {
            popular: popular(),
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: urls(),
            ..plan()
        }],
    );
    seen.run().await;
    // No visitor requested the third page, so it gets the usual variants: no tablet.
    assert_eq!(
        got(&seen),
        [
            "/v/1 mobile",
            "/v/2 desktop",
            "/v/2 mobile",
            "/v/3 desktop",
            "/v/3 mobile"
        ]
    );
    let all = config::Plan {
        urls: urls(),
        variants: PlanVariants::All,
        ..plan()
    };
    let all = RunningWarmer::start(
        FakePath {
            popular: popular(),
            ..FakePath::new()
        },
        vec![all],
    );
    all.run().await;
    assert_eq!(got(&all).len(), 9);
    let unknown = RunningWarmer::start(
        FakePath::new(),
        vec![config::Plan {
            urls: urls(),
            ..plan()
        }],
    );
    unknown.run().await;
    assert_eq!(got(&unknown).len(), 9);
}

const MAP: &str = "<urlset><url><loc>http://www.example/in-map</loc></url></urlset>";

/// A request path whose sitemap `/s.xml` fails so many times before it is read.
fn failing(times: u32) -> FakePath {
    FakePath {
        texts: HashMap::from([("/s.xml", MAP)]),
        unreadable: Mutex::new(HashMap::from([("/s.xml", times)])),
        ..FakePath::new()
    }
}

fn with_sitemap(retries: u32) -> config::Plan {
    config::Plan {
        urls: strings(&["/listed"]),
        sitemaps: strings(&["/s.xml"]),
        retries,
        ..plan()
    }
}

#[tokio::test]
async fn a_sitemap_is_read_again_after_a_rest() {
    let running = RunningWarmer::start(failing(2), vec![with_sitemap(2)]);
    let run = running.warmer.start("plan").unwrap();
    let report = running.turn_until_over(run).await;
    assert_eq!(
        (report.state, report.sitemaps_failed, report.fetched),
        (RunState::Done, 0, 2)
    );
    assert!(running.fake.clock.now().since(EIGHT) >= Duration::from_millis(1_500));
}

#[tokio::test]
async fn a_sitemap_that_fails_is_a_failure_though_other_pages_are_fetched() {
    let running = RunningWarmer::start(failing(2), vec![with_sitemap(1)]);
    let run = running.warmer.start("plan").unwrap();
    let report = running.turn_until_over(run).await;
    running.settle().await;
    assert_eq!(
        (report.state, report.sitemaps_failed, report.fetched),
        (RunState::Failed, 1, 1)
    );
    assert_eq!(running.urls(), ["www.example/listed"]);
    let totals = &running.warmer.totals()["plan"];
    assert_eq!((totals.sitemaps_failed, totals.last_done_unix_secs), (1, 0));
    assert_eq!(totals.ended["failed"], 1);
}

#[tokio::test]
async fn an_answer_that_stays_is_not_asked_for_again() {
    let running = RunningWarmer::start(FakePath::new(), vec![with_sitemap(5)]);
    // The clock does not move.
    let report = running.run().await;
    assert_eq!(
        (report.state, report.sitemaps_failed),
        (RunState::Failed, 1)
    );
}

#[tokio::test]
async fn robots_txt_names_sitemaps_which_may_be_indexes_or_text() {
    let fake = FakePath {
        texts: HashMap::from([
            (
                "/robots.txt",
                "User-agent: *\nSitemap: http://www.example/index.xml\nsitemap: http://www.example/list.txt\nSitemap: http://other.example/x.xml",
            ),
            (
                "/index.xml",
                "<sitemapindex><sitemap><loc>http://www.example/s.xml</loc></sitemap></sitemapindex>",
            ),
            ("/s.xml", MAP),
            ("/list.txt", "http://www.example/peluquería\n"),
        ]),
        ..FakePath::new()
    };
    let plan = config::Plan {
        sitemaps: strings(&["/robots.txt"]),
        concurrency: 1,
        ..plan()
    };
    let running = RunningWarmer::start(fake, vec![plan]);
    let report = running.run().await;
    assert_eq!((report.state, report.sitemaps_failed), (RunState::Done, 0));
    assert_eq!(
        running.urls(),
        ["www.example/in-map", "www.example/peluquer%C3%ADa"]
    );
    assert!(
        report
            .notes
            .concat()
            .contains("other.example/x.xml is not on this site")
    );
}

#[tokio::test]
async fn a_plan_names_the_host_of_a_site_that_takes_any() {
    let fake = FakePath {
        hosts: vec!["*".to_owned()],
        texts: HashMap::from([("/s.xml", MAP)]),
        ..FakePath::new()
    };
    let plan = config::Plan {
        host: Some("www.example".to_owned()),
        ..with_sitemap(0)
    };
    let running = RunningWarmer::start(fake, vec![plan]);
    assert_eq!(running.run().await.state, RunState::Done);
    assert_eq!(running.urls(), ["www.example/listed", "www.example/in-map"]);
}
