//! Device classes of real user agents, and the share that is found of each class.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use tero_policy_host::device::{Device, classify};

const CORPUS: &str = include_str!("../data/user-agents.tsv");
const BOTS: &str = include_str!("../data/bots.txt");
const CRAWLERS: &str = include_str!("../data/crawlers.txt");
const TVS: &str = include_str!("../data/tvs.txt");
const MODELS: &str = include_str!("../data/models.tsv");

fn class(user_agent: &str) -> Device {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_bytes(user_agent.as_bytes()).unwrap();
    headers.insert("user-agent", value);
    classify(&headers)
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// How often devices of one class were found to be of another, with an example of each.
#[derive(Default)]
struct Confusion(BTreeMap<(Device, Device), (usize, String)>);

impl Confusion {
    fn add(&mut self, right: Device, user_agent: &str) {
        let example = || (0, user_agent.to_owned());
        let entry = self.0.entry((right, class(user_agent)));
        entry.or_insert_with(example).0 += 1;
    }

    fn count(&self, wanted: impl Fn(Device, Device) -> bool) -> usize {
        let rows = self.0.iter();
        rows.filter(|((right, found), _)| wanted(*right, *found))
            .map(|(_, (count, _))| count)
            .sum()
    }

    /// How many of a class there are, how many are found, and how many others are taken for it.
    fn of(&self, class: Device) -> (usize, usize, usize) {
        (
            self.count(|right, _| right == class),
            self.count(|right, found| right == class && found == class),
            self.count(|right, found| right != class && found == class),
        )
    }

    fn table(&self) -> String {
        let rows = self.0.iter().map(|((right, found), (count, example))| {
            let (right, found) = (right.as_str(), found.as_str());
            format!("{right:>8} as {found:<8} {count:>6}  {example}\n")
        });
        rows.collect()
    }

    /// Checks that of these classes at least this share (in hundredths) is found, and that at most
    /// so many others are taken for them. Prints the figures: `--nocapture` shows them.
    fn check(&self, wanted: &[(Device, usize, usize)]) {
        for &(class, least_percent, most_wrong) in wanted {
            let (all, found, wrong) = self.of(class);
            let figures = format!(
                "{}: {found} of {all} found ({:.3}), {wrong} taken wrongly",
                class.as_str(),
                found as f64 / all as f64
            );
            eprintln!("{figures}");
            assert!(
                found * 100 >= all * least_percent && wrong <= most_wrong,
                "{figures}\n{}",
                self.table()
            );
        }
    }
}

#[test]
fn classes_of_real_user_agents_match_the_measured_ones() {
    let mut confusion = Confusion::default();
    for line in lines(CORPUS) {
        let (measured, user_agent) = line.split_once('\t').unwrap();
        confusion.add(Device::from_name(measured).unwrap(), user_agent);
    }
    confusion.check(&[
        (Device::Desktop, 98, 10),
        (Device::Mobile, 99, 30),
        (Device::Tablet, 96, 20),
    ]);
    let (all, agreed) = (
        confusion.count(|_, _| true),
        confusion.count(|right, found| right == found),
    );
    assert!(all >= 5_000, "{all} user agents");
    assert!(
        agreed * 1_000 >= all * 988,
        "{agreed} of {all} agree\n{}",
        confusion.table()
    );
}

#[test]
fn crawlers_are_found_by_their_words() {
    let mut confusion = Confusion::default();
    for user_agent in lines(CRAWLERS) {
        confusion.add(Device::Bot, user_agent);
    }
    assert!(confusion.count(|_, _| true) >= 500);
    confusion.check(&[(Device::Bot, 95, 0)]);
}

#[test]
fn devices_with_android_are_found_by_their_models() {
    let mut confusion = Confusion::default();
    for line in lines(MODELS) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [class, mobile, model] = fields[..] else {
            panic!("{line:?}");
        };
        let mobile = if mobile.is_empty() { "" } else { "Mobile " };
        let user_agent = format!(
            "Mozilla/5.0 (Linux; Android 9; {model} Build/PPR1.180610.011; wv) AppleWebKit/537.36 (KHTML, like Gecko) \
             Version/4.0 Chrome/104.0.5112.97 {mobile}Safari/537.36"
        );
        confusion.add(Device::from_name(class).unwrap(), &user_agent);
    }
    confusion.check(&[
        (Device::Tablet, 95, 3),
        (Device::Mobile, 95, 3),
        (Device::Tv, 95, 3),
        (Device::Desktop, 100, 0),
    ]);
}

#[test]
fn known_bots_are_classified_as_bots() {
    assert!(lines(BOTS).count() >= 50);
    for user_agent in lines(BOTS) {
        assert_eq!(class(user_agent), Device::Bot, "{user_agent}");
    }
}

#[test]
fn televisions_boxes_and_consoles_are_classified_as_tv() {
    assert!(lines(TVS).count() >= 20);
    for user_agent in lines(TVS) {
        assert_eq!(class(user_agent), Device::Tv, "{user_agent}");
    }
}
