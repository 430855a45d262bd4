//! File descriptors: how many there may be, who has them, and what happens when there are none left.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tero_tests::{Client, Origin, Reply, eventually, get};

use crate::program::{Serving, configuration};

/// Sets the soft limit of the program, and returns the one before.
fn limit(serving: &Serving, soft: u64) -> u64 {
    let id = i32::try_from(serving.id()).unwrap();
    let hard = getrlimit(Resource::Nofile).maximum;
    let new = Rlimit {
        current: Some(soft),
        maximum: hard,
    };
    let before = prlimit(Pid::from_raw(id), Resource::Nofile, new).unwrap();
    before.current.unwrap()
}

/// The descriptor that the program would get next.
fn lowest_free(serving: &Serving) -> u64 {
    let folder = format!("/proc/{}/fd", serving.id());
    let is_open = |number: &u64| std::fs::symlink_metadata(format!("{folder}/{number}")).is_ok();
    (0..).find(|number| !is_open(number)).unwrap()
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let origin = Origin::start();
    let serving = Serving::start_within(&configuration(&origin, ""), 200, 4_000);
    assert_eq!(serving.metric("process_max_fds"), Some(4_000.0));
}

#[test]
fn connections_that_can_not_be_met_are_told_at_the_start() {
    let origin = Origin::start();
    let with = |most: usize| {
        let key = format!("[server]\nmax_connections = {most}\n");
        configuration(&origin, "").replacen("[server]\n", &key, 1)
    };
    let serving = Serving::start_within(&with(2_000), 1_000, 1_000);
    let line = serving.line_with(&["max_connections can't be met", "1000"]);
    assert!(line.contains("WARN"), "{line}");
    let most = serving.metric("tero_connections_max").unwrap();
    assert!((300.0..500.0).contains(&most), "{most}");
    let serving = Serving::start_within(&with(100), 1_000, 1_000);
    assert_eq!(serving.metric("tero_connections_max"), Some(100.0));
    assert!(
        !serving.log().contains("max_connections"),
        "{}",
        serving.log()
    );
}

#[test]
fn clients_leave_descriptors_for_the_admin_interface_the_log_and_origins() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::ok(&asked.target));
    let log = "\n[access_log]\npath = \"access.log\"\n";
    let serving = Serving::start_within(&configuration(&origin, log), 400, 400);
    let most = serving.metric("tero_connections_max").unwrap();
    let mut clients: Vec<Client> = (0..500).map(|_| serving.client()).collect();
    eventually("the connections are accepted", || {
        serving.metric("tero_connections_open") == Some(most)
    });
    assert!(serving.metric("process_open_fds").unwrap() < 400.0);
    let file = serving.folder.path().join("access.log");
    std::fs::rename(&file, serving.folder.path().join("access.log.1")).unwrap();
    serving.signal("HUP");
    eventually("the log is opened again", || file.exists());
    assert_eq!(clients[0].send(&get("/x")).text(), "/x");
    assert!(
        !serving.log().contains("can't be accepted"),
        "{}",
        serving.log()
    );
}

#[test]
fn an_edge_without_descriptors_does_not_blame_its_origin() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::ok(&asked.target));
    let serving = Serving::start(&configuration(&origin, ""));
    let mut client = serving.client();
    // The connection is accepted now.
    assert_eq!(client.send(&get("/x").host("else.example")).status, 421);
    let before = limit(&serving, lowest_free(&serving));
    let answer = client.send(&get("/x"));
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.assert_detail("out of descriptors");
    limit(&serving, before);
    assert_eq!(client.send(&get("/x")).text(), "/x");
    let label = format!("{{site=\"site\",origin=\"{}\"}}", origin.address());
    assert_eq!(
        serving.metric(&format!("tero_origin_resting{label}")),
        Some(0.0)
    );
    serving.line_with(&["fetch failed", "out of descriptors"]);
}

#[test]
fn an_edge_without_descriptors_closes_idle_connections_to_other_origins() {
    let (one, other) = (Origin::start(), Origin::start());
    for origin in [&one, &other] {
        origin.otherwise(|asked| Reply::ok(&asked.target));
    }
    let more = format!(
        "\n[[site]]\nname = \"other\"\nhosts = [\"other.example\"]\norigins = [\"{}\"]\n",
        other.url()
    );
    let text = configuration(&one, &more).replace("workers = 2", "workers = 1");
    let serving = Serving::start(&text);
    let mut client = serving.client();
    assert_eq!(client.send(&get("/x")).status, 200);
    let before = limit(&serving, lowest_free(&serving));
    assert_eq!(client.send(&get("/y").host("other.example")).text(), "/y");
    limit(&serving, before);
    assert_eq!(client.send(&get("/z")).text(), "/z");
    let label = format!("{{site=\"site\",origin=\"{}\"}}", one.address());
    let opened = serving.metric(&format!("tero_origin_connections_total{label}"));
    assert_eq!(opened, Some(2.0), "the first one was closed");
}

#[test]
fn half_open_connections_to_the_admin_interface_give_way_at_a_low_limit_too() {
    let origin = Origin::start();
    let serving = Serving::start_within(&configuration(&origin, ""), 128, 128);
    let address = serving.admin_address();
    let waiting: Vec<_> = (0..150)
        .map(|_| {
            let mut client = Client::connect(address);
            let _ = client.try_write("GET /hea");
            client
        })
        .collect();
    let health = get("/health").host("localhost");
    assert_eq!(Client::connect(address).send(&health).status, 200);
    drop(waiting);
}
