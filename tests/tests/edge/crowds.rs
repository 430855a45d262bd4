//! Crowds in front of an origin that hangs, or that is slower than they come: how many wait, how many
//! get errors, how often the origin is asked. Waits are counted by the edge's clock, which stands
//! still while the crowd comes.

use std::sync::{Arc, Mutex};

use tero_tests::{Answer, Client, Edge, Gate, Origin, Reply, eventually, get};

/// A page that is fresh for a minute, and may stand in for a day.
fn page(body: &str) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=60, stale-if-error=86400")
}

fn answer(mut client: Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

#[test]
fn of_a_thousand_visitors_of_stale_pages_only_the_first_wait_for_an_origin_that_hangs() {
    const PAGES: usize = 20;
    /// `failures_in_row`: as many pages have to fail before the others are not asked for.
    const FIRST: usize = 5;
    const RESTS: usize = 5;
    let origin = Origin::start();
    origin.otherwise(|asked| page(asked.path()));
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site("response_timeout = \"2s\"\n[site.health]\nrest = \"5s\"\nmax_rest = \"5s\"")
        .start();
    let path = |number: usize| format!("/{}", number % PAGES);
    for number in 0..PAGES {
        edge.get(&path(number))
            .assert_forwarded("uri-miss", &path(number));
    }
    edge.advance_secs(61);
    origin.otherwise(|_| Reply::silence());
    let mut first: Vec<Client> = (0..FIRST).map(|_| edge.client()).collect();
    for (number, client) in first.iter_mut().enumerate() {
        client.start(&get(path(number)));
    }
    eventually("they are asked for", || origin.total() == PAGES + FIRST);
    edge.advance_until(5, || first.iter().all(Client::is_answered));
    for client in first {
        answer(client).assert_detail("origin did not answer in time");
    }
    eventually("the breaker is open", || {
        edge.metric("tero_origin_breaker_open", &[]) == 1.0
    });
    let asked = |number: usize| origin.requests(&path(number));
    for rest in 1..=RESTS {
        for visitor in 0..1_000 / RESTS {
            // The clock stands still: whoever waits is never answered.
            let told = edge.get(&path(visitor * 7));
            assert_eq!(
                (told.status, told.text()),
                (200, path(visitor * 7)),
                "{told:?}"
            );
        }
        // A trial takes as long as the origin hangs; then the next rest begins.
        edge.advance_secs(3);
        eventually("the trial is over", || edge.is_quiet());
        edge.advance_secs(5);
        for number in 0..PAGES {
            assert!(
                asked(number) <= 2 + rest,
                "{} for {}",
                asked(number),
                path(number)
            );
        }
        // The breaker lets one through at a time.
        let trials = origin.total() - PAGES - FIRST;
        assert!(trials <= rest, "{trials} trials in {rest} rests");
    }
    assert!(origin.total() > PAGES + FIRST, "the origin is never tried");
}

#[test]
fn a_thousand_visitors_of_one_stale_page_ask_a_hanging_origin_once_per_rest() {
    let origin = Origin::start();
    origin.on("/x", page("x"));
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site("response_timeout = \"2s\"\n[site.health]\nrest = \"5s\"\nmax_rest = \"5s\"")
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(61);
    origin.on("/x", Reply::silence());
    let mut first = edge.client();
    first.start(&get("/x"));
    origin.wait_for("/x", 2);
    edge.advance_until(5, || first.is_answered());
    assert_eq!(answer(first).text(), "x");
    for rest in 0..5 {
        for _ in 0..200 {
            assert_eq!(edge.get("/x").text(), "x");
        }
        assert!(
            origin.requests("/x") <= 2 + rest,
            "{} in {rest} rests",
            origin.requests("/x")
        );
        edge.advance_secs(3);
        eventually("the trial is over", || edge.is_quiet());
        edge.advance_secs(5);
    }
}

#[test]
fn three_times_the_traffic_that_a_slow_origin_takes_gives_little_more_errors_than_it_must() {
    /// Requests that the origin takes each second: it has so many at a time, and needs a second.
    const CAPACITY: usize = 10;
    const SECS: usize = 12;
    let origin = Origin::start();
    let gate = Arc::new(Mutex::new(Gate::new()));
    let current = Arc::clone(&gate);
    origin.otherwise(move |asked| {
        let gate = current.lock().expect("no other thread failed").clone();
        Reply::fresh(600, asked.path()).behind(&gate)
    });
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site(&format!(
            "max_fetches = {CAPACITY}\nconnect_timeout = \"2s\""
        ))
        .start();
    let mut clients = Vec::new();
    for second in 0..SECS {
        for visitor in 0..3 * CAPACITY {
            let mut client = edge.client();
            client.start(&get(format!("/{second}-{visitor}")));
            clients.push(client);
        }
        let settled = || {
            let answered = clients.iter().filter(|client| client.is_answered()).count();
            let waiting = edge.metric("tero_origin_waiting", &[]) as usize;
            let asking = origin.total() - CAPACITY * second;
            asking == CAPACITY && answered + waiting + CAPACITY == clients.len()
        };
        eventually("all are asked for, wait, or are turned away", settled);
        // A second is over for the origin: it answers those that it has, and takes the next.
        let over = std::mem::take(&mut *gate.lock().expect("no other thread failed"));
        over.open();
        eventually("the next are asked for", || {
            origin.total() == CAPACITY * (second + 2)
        });
        edge.advance_secs(1);
    }
    // No more come. Those in the queue get their turn or their error.
    gate.lock().expect("no other thread failed").open();
    edge.advance_until(10, || clients.iter().all(Client::is_answered));
    let arrived = clients.len();
    let answers: Vec<Answer> = clients.into_iter().map(answer).collect();
    let errors = answers.iter().filter(|told| told.status != 200).count();
    for told in answers.iter().filter(|told| told.status != 200) {
        told.assert_failed(503, "too many requests to the origin");
    }
    let must = arrived - CAPACITY * SECS;
    assert!(
        errors * 10 <= must * 11,
        "{errors} errors, where {must} must be"
    );
    // The origin has never had more at a time than it takes.
    assert_eq!(origin.total(), arrived - errors);
}
