//! A trace through sockets: what visitors get from memory while crawlers walk through the site.

use tero_tests::{Edge, Origin, Reply, get};

use super::traces;

const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";
/// The requests that are sent: the trace's first ones, of a small site.
const SENT: usize = 10_000;
/// Pages of a small site that stay: as many numbers of the trace are the same page.
const PAGES: u64 = 1_000;

/// The hits of visitors in percent, with this rule for crawlers.
fn hits(crawlers: &str) -> f64 {
    let all = traces::all();
    let trace = all
        .iter()
        .find(|trace| trace.name == "new pages and crawlers");
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let number: usize = asked.target.trim_start_matches('/').parse().unwrap_or(0);
        // From 2 to 12 KiB.
        Reply::fresh(3_600, "x".repeat(2_048 + number * 7_919 % 10_240))
    });
    let edge = Edge::before(&origin)
        .cache("memory = \"1MiB\"")
        .site(&format!("crawlers = \"{crawlers}\""))
        .start();
    let mut client = edge.client();
    let (mut hits, mut requests) = (0, 0);
    let sent = trace.expect("it is there").requests.iter().take(SENT);
    for (number, request) in sent.enumerate() {
        let agent = if request.is_crawler { CRAWLER } else { BROWSER };
        let target = match request.page < 1 << 40 {
            true => format!("/{}", request.page % PAGES),
            false => format!("/{}", PAGES + request.page % (1 << 40)),
        };
        let answer = client.send(&get(target).header("User-Agent", agent));
        assert_eq!(answer.status, 200);
        if number >= SENT / 4 && !request.is_crawler {
            requests += 1;
            hits += u32::from(answer.cache_status().hit);
        }
    }
    assert!(edge.metric("tero_cache_bytes", &[]) <= f64::from(1 << 20));
    assert!(edge.metric("tero_cache_newcomer_bytes", &[]) > 0.0);
    for answer in ["admitted", "refused"] {
        let label = format!("answer=\"{answer}\"");
        assert!(
            edge.metric("tero_cache_newcomers_total", &[&label]) > 0.0,
            "{answer}"
        );
    }
    f64::from(hits) * 100.0 / f64::from(requests)
}

#[test]
fn visitors_get_more_from_memory_where_crawlers_take_no_place() {
    let (admitted, served) = (hits("admit"), hits("serve"));
    eprintln!(
        "through sockets, new pages and 30 % crawlers: {admitted:.1} %, and {served:.1} % with crawlers = \"serve\""
    );
    assert!(served > admitted + 0.5, "{served:.1} and {admitted:.1}");
}
