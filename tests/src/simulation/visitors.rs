//! The visitors: when they come, with which devices, and what they look at. There is a rush at
//! opening time, and Sundays and holidays are quiet.

use chrono::{Datelike, NaiveDate, Weekday};
use chrono_tz::Tz;
use tero_semantics::timestamp::Timestamp;

use crate::instant;

/// The number of shops. Shop 0 is the most popular.
pub(super) const SHOPS: usize = 60;

/// Visits each minute of an open day, by hour, without the rush.
const CURVE: [f64; 24] = [
    0.5, 0.3, 0.2, 0.1, 0.1, 0.2, 0.4, 0.8, 1.5, 6.0, 6.5, 6.0, 5.0, 4.0, 4.5, 5.5, 6.5, 7.0, 4.0,
    2.5, 2.0, 1.5, 1.2, 0.8,
];

/// Factors of the first minutes after opening, when the week's appointments are given out.
const RUSH: [f64; 10] = [8.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.7, 1.4, 1.2];

/// The local hour at which the shops open.
pub(super) const OPENING_HOUR: u32 = 9;

/// The local hour at which they close.
pub(super) const CLOSING_HOUR: u32 = 18;

/// The share of visitors on a closed day, when there is no rush.
const QUIET: f64 = 0.25;

/// The percentage of visitors with a phone.
const PHONES: u64 = 70;

/// Values of `User-Agent`.
const ON_PHONES: [&str; 3] = [
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 350.0.0.31.94",
];
const ON_DESKS: [&str; 2] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
];

/// The days and the visitors of a simulation.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The first day that counts. The edge starts a day earlier, and learns what visitors want.
    pub first: NaiveDate,
    /// The number of days that count.
    pub days: u32,
    /// Closed days beside Sundays.
    pub holidays: Vec<NaiveDate>,
    /// The same seed gives the same visits.
    pub seed: u64,
    /// The number of visits, as a multiple of the usual curve.
    pub scale: f64,
}

/// A request of a visitor.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) at: Timestamp,
    pub(super) target: String,
    pub(super) user_agent: &'static str,
}

impl Traffic {
    /// Seven days from Thursday 13 August 2026. Monday is a holiday (San Martín).
    pub fn week() -> Traffic {
        let day = |day| NaiveDate::from_ymd_opt(2026, 8, day).expect("August has it");
        Traffic {
            first: day(13),
            days: 7,
            holidays: vec![day(17)],
            seed: 2_026,
            scale: 1.0,
        }
    }

    /// The days, in order.
    pub(super) fn dates(&self) -> impl Iterator<Item = NaiveDate> {
        self.first.iter_days().take(self.days as usize)
    }

    /// Whether the shops open on this day.
    pub(super) fn opens(&self, day: NaiveDate) -> bool {
        day.weekday() != Weekday::Sun && !self.holidays.contains(&day)
    }

    /// All requests in the order of time, from the day before the first.
    pub(super) fn visits(&self, zone: Tz) -> Vec<Visit> {
        let mut dice = Dice(self.seed);
        let mut visits = Vec::new();
        for day in self.first.pred_opt().into_iter().chain(self.dates()) {
            let opens = self.opens(day);
            for minute in 0..24 * 60_u32 {
                let (hour, of_hour) = (minute / 60, minute % 60);
                let rush = if opens && hour == OPENING_HOUR {
                    RUSH.get(of_hour as usize).copied().unwrap_or(1.0)
                } else {
                    1.0
                };
                let quiet = if opens { 1.0 } else { QUIET };
                let start = instant(&format!("{day}T{hour:02}:{of_hour:02}:00"), zone);
                for _ in 0..dice.events(CURVE[hour as usize] * rush * quiet * self.scale) {
                    let at =
                        start.unix_millis() + i64::try_from(dice.below(60_000)).expect("a minute");
                    journey(&mut dice, at, &mut visits);
                }
            }
        }
        visits.sort_by_key(|visit| visit.at);
        visits
    }
}

/// Adds the requests of one visitor.
fn journey(dice: &mut Dice, mut at: i64, visits: &mut Vec<Visit>) {
    let agents: &[&'static str] = if dice.below(100) < PHONES {
        &ON_PHONES
    } else {
        &ON_DESKS
    };
    let user_agent = agents[dice.index(agents.len())];
    let shop = dice.zipf(SHOPS);
    let mut look = |target: String, reads_secs: u64, dice: &mut Dice| {
        visits.push(Visit {
            at: Timestamp::from_unix_millis(at),
            target,
            user_agent,
        });
        at += i64::try_from(200 + dice.below(1 + reads_secs * 2_000)).expect("some seconds");
    };
    // A third of visitors follow an advertisement to a shop's page.
    if dice.below(3) > 0 {
        look("/".to_owned(), 0, dice);
        look("/assets/sitio.css".to_owned(), 8, dice);
        look(format!("/barberias/{shop}"), 0, dice);
    } else {
        let campaign = dice.below(100_000);
        look(
            format!("/barberias/{shop}?utm_source=instagram&fbclid={campaign}"),
            0,
            dice,
        );
    }
    look(format!("/img/{shop}.svg"), 10, dice);
    if dice.below(100) < 60 {
        look(format!("/turnos/{shop}"), 0, dice);
        look(format!("/api/v1/disponibilidad/{shop}"), 20, dice);
        if dice.below(100) < 15 {
            look(format!("/checkout/{shop}"), 30, dice);
        }
    }
}

/// A splitmix64 generator.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }

    /// A number from 0 to below 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A Poisson-distributed number with this mean (by Knuth).
    fn events(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut events) = ((-mean).exp(), self.part(), 0);
        while product > limit {
            product *= self.part();
            events += 1;
        }
        events
    }

    /// An index below `count` by Zipf's law: 1 comes half as often as 0, and 2 a third as often.
    fn zipf(&mut self, count: usize) -> usize {
        let total: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
        let mut left = self.part() * total;
        for rank in 1..count {
            left -= 1.0 / rank as f64;
            if left < 0.0 {
                return rank - 1;
            }
        }
        count - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_week_and_the_doors_make_a_rush() {
        let zone = crate::ART.parse().unwrap();
        let traffic = Traffic::week();
        let visits = traffic.visits(zone);
        let again = traffic.visits(zone);
        assert!(
            visits.len() > 10_000 && visits.len() == again.len(),
            "{}",
            visits.len()
        );
        assert!(
            visits
                .iter()
                .zip(&again)
                .all(|(one, other)| one.target == other.target && one.at == other.at)
        );
        let other = Traffic { seed: 1, ..traffic }.visits(zone);
        assert_ne!(other.len(), visits.len());
        let within = |from: &str, until: &str| {
            let (from, until) = (instant(from, zone), instant(until, zone));
            visits
                .iter()
                .filter(|visit| from <= visit.at && visit.at < until)
                .count()
        };
        let rush = within("2026-08-13T09:00:00", "2026-08-13T09:05:00");
        assert!(rush > 2 * within("2026-08-13T11:00:00", "2026-08-13T11:05:00"));
        assert!(
            rush > 5 * within("2026-08-17T09:00:00", "2026-08-17T09:05:00"),
            "a holiday"
        );
    }
}
