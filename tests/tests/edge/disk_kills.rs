//! SIGKILL at any moment of writing, sealing, purging and dropping: after the next start no answer is
//! wrong, mixed, truncated, or one that was purged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tero_tests::{Client, Origin, Reply, Request, SetWhenDropped, folder, get};

use crate::program::{Serving, configuration, tero};

const PAGES: usize = 48;

/// The content of a version of a page: it says which it is, and any part of it is told from all others.
fn content(page: usize, version: u64) -> Vec<u8> {
    // A few are too large for memory, and many make the disk full: it has four segments of 16 MiB.
    let length = match page % 12 {
        0 => 700_000,
        1 => 0,
        2 => 150_000,
        _ => 20_000 + page * 500,
    };
    let mut content = format!("page {page} version {version}\n").into_bytes();
    let mut state = (page as u64) << 32 | version;
    while content.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        content.extend_from_slice(&state.to_le_bytes());
    }
    content
}

/// The page and the version that a content says it is.
fn said(content: &[u8]) -> Option<(usize, u64)> {
    let line = content.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let page = words.nth(1)?.parse().ok()?;
    Some((page, words.nth(1)?.parse().ok()?))
}

/// Versions that were given out, and those that were purged.
#[derive(Default)]
struct Truth {
    next: AtomicU64,
    /// By page: all versions up to this one were purged, and the purge was answered.
    purged: Mutex<BTreeMap<usize, u64>>,
}

impl Truth {
    fn check(&self, page: usize, content_now: &[u8], purged_before: u64) {
        let (said_page, version) = said(content_now).expect("it says what it is");
        assert_eq!(said_page, page, "another page");
        assert!(
            content_now == content(page, version),
            "page {page} is damaged or cut off"
        );
        assert!(
            version > purged_before,
            "version {version} of page {page} was purged with {purged_before}"
        );
    }

    fn purged(&self, page: usize) -> u64 {
        let purged = self.purged.lock().unwrap();
        purged.get(&page).copied().unwrap_or_default()
    }
}

fn origin(truth: &Arc<Truth>) -> Origin {
    let (origin, truth) = (Origin::start(), Arc::clone(truth));
    origin.otherwise(move |asked| {
        let page: usize = asked.path()[1..].parse().unwrap_or_default();
        let version = truth.next.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::fresh(86_400, content(page, version)).header("Surrogate-Key", format!("page-{page}"))
    });
    origin
}

/// Asks for a page; `None` if the edge is gone.
fn ask(client: &mut Option<Client>, address: SocketAddr, request: &Request) -> Option<Vec<u8>> {
    if client.is_none() {
        *client = Client::try_connect(address).ok();
    }
    let open = client.as_mut()?;
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        open.try_write(request.to_bytes()).ok()?;
        let mut answer = open.try_head(false).ok()??;
        open.rest(&mut answer);
        answer.whole.then_some(answer)
    }));
    match answer.ok().flatten() {
        Some(answer) if answer.status == 200 => Some(answer.body),
        _ => {
            *client = None;
            None
        }
    }
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// Kills the edge at so many moments.
fn kill(kills: usize, seed: u64) {
    let (truth, folder) = (Arc::new(Truth::default()), folder());
    let origin = origin(&truth);
    let disk = folder.path().join("disk");
    let text = format!(
        "{}\n[cache]\nmemory = \"8MiB\"\nmax_object = \"512KiB\"\n\n[[cache.disk]]\npath = {disk:?}\nsize = \"64MiB\"\n",
        configuration(&origin, "")
    );
    let mut dice = Dice(seed);
    let (mut from_disk, mut served) = (0, 0);
    for kill in 0..=kills {
        let serving = start(folder.path(), &text);
        let (address, admin) = (serving.address(), serving.admin_address());
        // Everything that it finds is right.
        let mut client = None;
        for page in 0..PAGES {
            let (purged, before) = (truth.purged(page), origin.total());
            let body = ask(&mut client, address, &get(format!("/{page}")));
            let body = body.unwrap_or_else(|| panic!("no whole answer after kill {kill}"));
            truth.check(page, &body, purged);
            from_disk += usize::from(origin.total() == before);
            served += 1;
        }
        if kill == kills {
            break;
        }
        let is_over = AtomicBool::new(false);
        let life = Duration::from_millis(20 + dice.below(700));
        let seeds: Vec<u64> = (0..3).map(|_| dice.below(u64::MAX >> 1)).collect();
        std::thread::scope(|scope| {
            let _ending = SetWhenDropped(&is_over);
            for seed in &seeds {
                scope.spawn(|| visit(&truth, address, Dice(*seed), &is_over));
            }
            scope.spawn(|| purge(&truth, admin, Dice(seeds[0] ^ 5), &is_over));
            std::thread::park_timeout(life);
            serving.signal("KILL");
        });
        drop(serving);
    }
    assert!(
        from_disk * 10 > served,
        "{from_disk} of {served} came from the disk"
    );
    assert!(
        truth.purged.lock().unwrap().len() > 1,
        "purges were answered"
    );
}

fn start(folder: &Path, text: &str) -> Serving {
    let own = tero_tests::folder();
    let mut command = tero(&["serve"]);
    command.env("TMPDIR", folder);
    Serving::start_in(own, command, text)
}

/// A visitor that asks for pages, some of them anew.
fn visit(truth: &Truth, address: SocketAddr, mut dice: Dice, is_over: &AtomicBool) {
    let mut client = None;
    while !is_over.load(Ordering::Relaxed) {
        let page = dice.below(PAGES as u64) as usize;
        let purged = truth.purged(page);
        let mut request = get(format!("/{page}"));
        if dice.below(4) == 0 {
            request = request.header("Cache-Control", "no-cache");
        }
        if let Some(body) = ask(&mut client, address, &request) {
            truth.check(page, &body, purged);
        }
    }
}

/// An operator who purges pages.
fn purge(truth: &Truth, admin: SocketAddr, mut dice: Dice, is_over: &AtomicBool) {
    let mut client = None;
    while !is_over.load(Ordering::Relaxed) {
        let page = dice.below(PAGES as u64) as usize;
        let up_to = truth.next.load(Ordering::SeqCst);
        let what = match dice.below(2) {
            0 => format!("{{\"url\": \"http://www.example/{page}\"}}"),
            _ => format!("{{\"tag\": \"page-{page}\"}}"),
        };
        let request = Request::new("POST", "/purge")
            .host("localhost")
            .header("Content-Type", "application/json")
            .body(what);
        if ask(&mut client, admin, &request).is_some() {
            let mut purged = truth.purged.lock().unwrap();
            let known = purged.entry(page).or_default();
            *known = up_to.max(*known);
        }
    }
}

#[test]
fn an_edge_that_was_killed_serves_what_was_stored_and_not_purged() {
    kill(8, 1);
}

/// `cargo test -p tero-tests --test edge -- --ignored two_hundred_moments`
#[test]
#[ignore = "takes minutes"]
fn an_edge_is_killed_at_two_hundred_moments() {
    kill(200, 2);
}

/// The bytes of all files in a folder.
fn size_of(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    // One may be removed meanwhile.
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

/// Lets pages come and go for some time: memory stays flat, and the disk within its size.
fn churn(time: Duration) {
    const LOOKS: u32 = 60;
    const MIB: u64 = 1 << 20;
    let (truth, folder) = (Arc::new(Truth::default()), folder());
    let origin = origin(&truth);
    let disk = folder.path().join("disk");
    let text = format!(
        "{}\n[cache]\nmemory = \"16MiB\"\nmax_object = \"512KiB\"\n\n[[cache.disk]]\npath = {disk:?}\nsize = \"64MiB\"\n",
        configuration(&origin, "")
    );
    let serving = start(folder.path(), &text);
    let (address, admin) = (serving.address(), serving.admin_address());
    let is_over = AtomicBool::new(false);
    let (mut memory, mut sizes) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let _ending = SetWhenDropped(&is_over);
        for seed in 1..5 {
            let (truth, is_over) = (&truth, &is_over);
            scope.spawn(move || visit(truth, address, Dice(seed), is_over));
        }
        scope.spawn(|| purge(&truth, admin, Dice(9), &is_over));
        for _ in 0..LOOKS {
            std::thread::park_timeout(time / LOOKS);
            memory.push(serving.resident_bytes());
            sizes.push(size_of(&disk));
        }
    });
    let largest = sizes.iter().max().unwrap();
    // The file of purges and a probe lie beside the segments.
    assert!(*largest <= 65 * MIB, "{} MiB on disk", largest / MIB);
    let most = |part: &[u64]| part.iter().max().copied().unwrap_or_default();
    let third = memory.len() / 3;
    let (before, after) = (most(&memory[..third * 2]), most(&memory[third * 2..]));
    assert!(
        after <= before + 16 * MIB,
        "{} MiB at first, {} MiB later",
        before / MIB,
        after / MIB
    );
}

#[test]
fn churn_leaves_memory_flat_and_the_disk_within_its_size() {
    churn(Duration::from_secs(6));
}

/// `cargo test -p tero-tests --test edge -- --ignored ten_minutes_of_churn`, best with `--release`.
#[test]
#[ignore = "takes ten minutes"]
fn ten_minutes_of_churn_leave_memory_flat() {
    churn(Duration::from_secs(600));
}
