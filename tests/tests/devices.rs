//! Device classes of real user agents.

use std::collections::BTreeMap;

use tero_policy_host::device::Device;
use tero_policy_host::device::{DeviceFields, class_of};

const CORPUS: &str = include_str!("../data/user-agents.tsv");
const BOTS: &str = include_str!("../data/bots.txt");
const TVS: &str = include_str!("../data/tvs.txt");

fn class(user_agent: &str) -> Device {
    class_of(DeviceFields {
        user_agent: user_agent.as_bytes(),
        ..DeviceFields::default()
    })
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
}

#[test]
fn classes_of_real_user_agents_match_the_measured_ones() {
    let mut matrix: BTreeMap<(Device, Device), (usize, &str)> = BTreeMap::new();
    for line in lines(CORPUS) {
        let (measured, user_agent) = line.split_once('\t').unwrap();
        let measured = Device::from_name(measured).unwrap();
        let entry = matrix
            .entry((measured, class(user_agent)))
            .or_insert((0, user_agent));
        entry.0 += 1;
    }
    let count = |wanted: &dyn Fn(Device, Device) -> bool| -> usize {
        matrix
            .iter()
            .filter(|((measured, found), _)| wanted(*measured, *found))
            .map(|(_, (count, _))| count)
            .sum()
    };
    let table: String = matrix
        .iter()
        .map(|((measured, found), (count, example))| {
            format!(
                "{:>8} as {:<8} {count:>6}  {example}\n",
                measured.as_str(),
                found.as_str()
            )
        })
        .collect();
    let all = count(&|_, _| true);
    assert!(all >= 5_000, "{all} user agents");
    for class in [Device::Desktop, Device::Mobile, Device::Tablet] {
        let of_class = count(&|measured, _| measured == class);
        let agreed = count(&|measured, found| measured == class && found == class);
        assert!(
            of_class >= 100 && agreed * 100 >= of_class * 90,
            "{}: {agreed} of {of_class}\n{table}",
            class.as_str()
        );
    }
    let agreed = count(&|measured, found| measured == found);
    assert!(agreed * 100 >= all * 98, "{agreed} of {all} agree\n{table}");
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
