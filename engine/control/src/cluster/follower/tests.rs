use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::book::PurgeBook;
use super::super::purge_log::{OrderTarget, PurgeId};
use super::super::twin::{TwinCursor, TwinLog};
use super::*;

/// Pages that are stored and purged.
const PAGES: u8 = 4;
/// Nodes that follow.
const NODES: usize = 2;
/// Rounds in which everything has to settle.
const ROUNDS: usize = 8;

fn order(number: u64, page: u8) -> PurgeOrder {
    PurgeOrder {
        id: PurgeId::parse(&format!("p{number}")).unwrap(),
        at_ms: number,
        target: OrderTarget::Tag(page.to_string()),
        soft: false,
    }
}

/// A node with a disk: what is stored, and the position, outlive a restart.
struct Node {
    follower: Follower,
    saved: Option<LogPosition>,
    cursor: Option<TwinCursor>,
    /// When each page that is fresh was stored.
    fresh: BTreeMap<u8, u64>,
    book: PurgeBook,
    doubts: Vec<LogDoubt>,
}

impl Node {
    fn new() -> Node {
        Node {
            follower: Follower::new(None),
            saved: None,
            cursor: None,
            fresh: BTreeMap::new(),
            book: PurgeBook::default(),
            doubts: Vec::new(),
        }
    }

    /// Carries out the first actions; a crash comes before the others.
    fn act(&mut self, actions: Vec<FollowerAction>, most: usize) {
        for action in actions.into_iter().take(most) {
            match action {
                FollowerAction::StaleAll(doubt) => {
                    self.fresh.clear();
                    self.doubts.push(doubt);
                }
                FollowerAction::Apply(order) => self.apply(&order),
                FollowerAction::Record(position) => self.saved = Some(position),
                FollowerAction::Reopen => self.cursor = None,
            }
        }
    }

    fn apply(&mut self, order: &PurgeOrder) {
        self.book.note(order, u64::MAX);
        if let OrderTarget::Tag(page) = &order.target {
            self.fresh.remove(&page.parse().unwrap());
        }
    }

    fn open(&mut self, log: &TwinLog) {
        self.cursor = Some(log.open(self.follower.from()));
        let actions = self.follower.opened(&log.state(), !self.fresh.is_empty());
        self.act(actions, usize::MAX);
    }

    fn deliver(&mut self, log: &TwinLog, most: usize) {
        for _ in 0..most {
            let entry = self.cursor.as_mut().and_then(|cursor| log.deliver(cursor));
            let Some(entry) = entry else { return };
            let actions = self.follower.entry(entry);
            self.act(actions, usize::MAX);
        }
    }

    fn look(&mut self, log: &TwinLog) {
        let Some(asked_for) = self.follower.position().cloned() else {
            return;
        };
        if self.cursor.is_none() {
            return;
        }
        let found = log.digest(asked_for.number);
        let actions = self.follower.looked(&asked_for, &log.state(), found);
        self.act(actions, usize::MAX);
    }

    /// A crash in the middle of an entry, and a new start.
    fn restart(&mut self, log: &TwinLog, done: usize) {
        let entry = self.cursor.as_mut().and_then(|cursor| log.deliver(cursor));
        if let Some(entry) = entry {
            let actions = self.follower.entry(entry);
            self.act(actions, done);
        }
        self.follower = Follower::new(self.saved.clone());
        self.cursor = None;
    }
}

/// What happens.
#[derive(Clone, Debug)]
enum Happening {
    Purge(u8),
    Beat,
    Stranger,
    Store(usize, u8),
    Open(usize),
    Deliver(usize, usize),
    Look(usize),
    Recreate,
    RollBack(usize),
    LoseLast,
    Trim(usize),
    Skip(usize, u64),
    Repeat(usize, u64),
    Restart(usize, usize),
    LosePosition(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let node = 0..NODES;
    prop_oneof![
        6 => (0..PAGES).prop_map(Purge),
        2 => Just(Beat),
        1 => Just(Stranger),
        6 => (node.clone(), 0..PAGES).prop_map(|(node, page)| Store(node, page)),
        3 => node.clone().prop_map(Open),
        6 => (node.clone(), 1..6_usize).prop_map(|(node, most)| Deliver(node, most)),
        3 => node.clone().prop_map(Look),
        1 => Just(Recreate),
        1 => (1..5_usize).prop_map(RollBack),
        1 => Just(LoseLast),
        1 => (1..5_usize).prop_map(Trim),
        1 => (node.clone(), 1..4_u64).prop_map(|(node, entries)| Skip(node, entries)),
        1 => (node.clone(), 1..4_u64).prop_map(|(node, entries)| Repeat(node, entries)),
        2 => (node.clone(), 0..3_usize).prop_map(|(node, done)| Restart(node, done)),
        1 => node.prop_map(LosePosition),
    ]
}

/// A fleet, and the time of the last purge of each page.
struct TwinFleet {
    log: TwinLog,
    nodes: Vec<Node>,
    now: u64,
    purged: BTreeMap<u8, u64>,
}

impl TwinFleet {
    fn new() -> TwinFleet {
        TwinFleet {
            log: TwinLog::default(),
            nodes: (0..NODES).map(|_| Node::new()).collect(),
            now: 0,
            purged: BTreeMap::new(),
        }
    }

    fn happen(&mut self, happening: &Happening) {
        self.now += 1;
        let log = &self.log;
        match *happening {
            Happening::Purge(page) => {
                // The first node takes it: it applies it, and appends it.
                let order = order(self.now, page);
                let entry = LogEntry::Purge(order.clone());
                self.nodes[0].apply(&order);
                log.append_bytes(order.id.as_str(), &entry.to_bytes());
                self.purged.insert(page, self.now);
            }
            Happening::Beat => {
                let entry = LogEntry::Beat { slot: self.now };
                log.append_bytes(&entry.id(), &entry.to_bytes());
            }
            Happening::Stranger => {
                log.append_bytes(&format!("s{}", self.now), b"{\"unknown\":1}");
            }
            Happening::Store(node, page) => {
                self.nodes[node].fresh.insert(page, self.now);
            }
            Happening::Open(node) => self.nodes[node].open(log),
            Happening::Deliver(node, most) => self.nodes[node].deliver(log, most),
            Happening::Look(node) => self.nodes[node].look(log),
            Happening::Recreate => log.recreate(),
            Happening::RollBack(entries) => log.roll_back(entries),
            Happening::LoseLast => log.lose_last(),
            Happening::Trim(entries) => log.trim(entries),
            Happening::Skip(node, entries) => {
                if let Some(cursor) = &mut self.nodes[node].cursor {
                    cursor.skip(entries);
                }
            }
            Happening::Repeat(node, entries) => {
                if let Some(cursor) = &mut self.nodes[node].cursor {
                    cursor.repeat(entries);
                }
            }
            Happening::Restart(node, done) => self.nodes[node].restart(log, done),
            Happening::LosePosition(node) => {
                let node = &mut self.nodes[node];
                node.saved = None;
                node.restart(log, 0);
            }
        }
    }

    /// Faults are over, and nodes go on: what fell silent begins anew, and the log is looked at.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            for node in &mut self.nodes {
                if node.cursor.is_none() {
                    node.open(&self.log);
                }
                node.deliver(&self.log, usize::MAX);
                node.look(&self.log);
            }
        }
    }

    /// The second path: nodes exchange what one of them lacks.
    fn exchange(&mut self) {
        let ids: Vec<PurgeId> = self.nodes[1].book.ids().map(|(id, _)| id.clone()).collect();
        let lacking_there = self.nodes[0].book.missing_there(&ids, 0);
        let lacking = self.nodes[0].book.missing_here(self.nodes[1].book.ids(), 0);
        for order in self.nodes[1].book.orders(&lacking) {
            self.nodes[0].apply(&order);
        }
        for order in lacking_there {
            self.nodes[1].apply(&order);
        }
        let [one, other] = [0, 1].map(|node| self.nodes[node].book.summary());
        assert_eq!(one, other);
    }

    /// Pages that are fresh on a node although they were purged since they were stored.
    fn lost(&self) -> Vec<(usize, u8)> {
        let nodes = self.nodes.iter().enumerate();
        let fresh = nodes.flat_map(|(place, node)| {
            let fresh = node.fresh.iter();
            fresh.map(move |(page, stored)| (place, *page, *stored))
        });
        let lost = fresh.filter(|(_, page, stored)| {
            self.purged.get(page).is_some_and(|purged| purged > stored)
        });
        lost.map(|(place, page, _)| (place, page)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens to log, feeds and nodes: a purge is applied, or the node has taken everything
    /// for stale. Entries that the log lost after it acknowledged them come by the second path.
    #[test]
    fn no_purge_is_lost_in_silence(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut fleet = TwinFleet::new();
        for happening in &happenings {
            fleet.happen(happening);
        }
        fleet.settle();
        fleet.exchange();
        prop_assert_eq!(fleet.lost(), vec![]);
        for node in &fleet.nodes {
            prop_assert!(node.follower.is_caught_up());
            prop_assert_eq!(node.saved.as_ref(), node.follower.position());
        }
    }

    /// Of what the log never took back, the log alone brings everything.
    #[test]
    fn the_log_alone_loses_nothing_that_it_kept(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut fleet = TwinFleet::new();
        let keeps = |one: &&Happening| !matches!(one, Happening::LoseLast | Happening::RollBack(_));
        for happening in happenings.iter().filter(keeps) {
            fleet.happen(happening);
        }
        fleet.settle();
        prop_assert_eq!(fleet.lost(), vec![]);
    }

    /// Where the log is sound there is nothing to doubt, however often nodes restart.
    #[test]
    fn a_sound_log_raises_no_doubt(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut fleet = TwinFleet::new();
        (0..NODES).for_each(|node| fleet.happen(&Happening::Open(node)));
        let is_sound = |happening: &&Happening| {
            use Happening::*;
            matches!(
                happening,
                Purge(_) | Beat | Store(..) | Open(_) | Deliver(..) | Look(_) | Repeat(..)
            )
        };
        for happening in happenings.iter().filter(is_sound) {
            fleet.happen(happening);
        }
        fleet.settle();
        for node in &fleet.nodes {
            prop_assert_eq!(&node.doubts, &vec![]);
        }
        prop_assert_eq!(fleet.lost(), vec![]);
    }
}

/// A node that has applied ten purges, and stored two pages since.
fn followed() -> TwinFleet {
    let mut fleet = TwinFleet::new();
    fleet.nodes[1].open(&fleet.log);
    for _ in 0..10 {
        fleet.happen(&Happening::Purge(0));
    }
    fleet.nodes[1].deliver(&fleet.log, 10);
    fleet.happen(&Happening::Store(1, 0));
    fleet.happen(&Happening::Store(1, 1));
    assert_eq!(fleet.nodes[1].doubts, []);
    fleet
}

/// The doubts of the node after this.
fn doubts(then: impl FnOnce(&mut TwinFleet)) -> Vec<LogDoubt> {
    let mut fleet = followed();
    then(&mut fleet);
    fleet.settle();
    assert_eq!(fleet.lost(), []);
    fleet.nodes.remove(1).doubts
}

#[test]
fn each_fault_has_its_reason() {
    let purge = |fleet: &mut TwinFleet| fleet.happen(&Happening::Purge(1));
    assert_eq!(doubts(purge), []);
    assert_eq!(doubts(|fleet| fleet.log.recreate()), [LogDoubt::OtherLog]);
    assert_eq!(doubts(|fleet| fleet.log.roll_back(3)), [LogDoubt::Rewind]);
    let regrown = |fleet: &mut TwinFleet| {
        fleet.log.roll_back(3);
        (0..5).for_each(|_| purge(fleet));
    };
    assert_eq!(doubts(regrown), [LogDoubt::Fork]);
    let recreated_and_longer = |fleet: &mut TwinFleet| {
        fleet.log.recreate();
        (0..20).for_each(|_| purge(fleet));
    };
    assert_eq!(doubts(recreated_and_longer), [LogDoubt::OtherLog]);
    let skipped = |fleet: &mut TwinFleet| {
        fleet.happen(&Happening::Skip(1, 1));
        (0..2).for_each(|_| purge(fleet));
    };
    assert_eq!(doubts(skipped), [], "it is read again");
    let skipped_again = |fleet: &mut TwinFleet| {
        fleet.happen(&Happening::Skip(1, 1));
        (0..2).for_each(|_| purge(fleet));
        fleet.happen(&Happening::Deliver(1, 1));
        fleet.happen(&Happening::Open(1));
        // The last one that was applied comes again, and the next one doesn't.
        fleet.happen(&Happening::Deliver(1, 1));
        fleet.happen(&Happening::Skip(1, 1));
    };
    assert_eq!(doubts(skipped_again), [LogDoubt::Gap]);
    let skipped_at_the_beginning = |fleet: &mut TwinFleet| {
        fleet.happen(&Happening::Open(1));
        fleet.happen(&Happening::Skip(1, 1));
        purge(fleet);
    };
    assert_eq!(doubts(skipped_at_the_beginning), []);
    let away_for_long = |fleet: &mut TwinFleet| {
        fleet.nodes[1].cursor = None;
        (0..5).for_each(|_| purge(fleet));
        fleet.log.trim(12);
    };
    assert_eq!(doubts(away_for_long), [LogDoubt::Gap]);
    assert_eq!(
        doubts(|fleet| fleet.happen(&Happening::Stranger)),
        [LogDoubt::Unreadable]
    );
    assert_eq!(
        doubts(|fleet| fleet.happen(&Happening::LosePosition(1))),
        [LogDoubt::UnknownPosition]
    );
}

#[test]
fn a_restart_reads_the_last_entry_again_and_doubts_nothing() {
    for done in 0..3 {
        let mut fleet = followed();
        fleet.happen(&Happening::Purge(1));
        fleet.happen(&Happening::Restart(1, done));
        fleet.settle();
        assert_eq!(fleet.nodes[1].doubts, []);
        assert_eq!(fleet.lost(), []);
    }
}

#[test]
fn a_feed_that_stands_still_is_begun_anew_at_the_second_look() {
    let mut fleet = followed();
    // The feed brings nothing more, and the log is sound.
    fleet.nodes[1].cursor.as_mut().unwrap().skip(1_000);
    fleet.happen(&Happening::Purge(1));
    fleet.happen(&Happening::Look(1));
    assert!(fleet.nodes[1].cursor.is_some());
    fleet.happen(&Happening::Look(1));
    assert!(fleet.nodes[1].cursor.is_none());
}

#[test]
fn nothing_stored_is_nothing_to_doubt() {
    let log = TwinLog::default();
    log.append_bytes("a", &LogEntry::Beat { slot: 1 }.to_bytes());
    for (stored, doubts) in [
        (None, vec![]),
        (Some((0, 0)), vec![LogDoubt::UnknownPosition]),
    ] {
        let mut node = Node::new();
        node.fresh.extend(stored);
        node.open(&log);
        node.deliver(&log, 1);
        assert_eq!(node.doubts, doubts);
        assert!(node.follower.is_caught_up());
    }
}
