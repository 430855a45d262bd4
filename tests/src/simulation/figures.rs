//! What a week has shown.

use tero_tools::traffic::SiteKind;

use super::settings::{Way, hours};

/// The counts of one local hour, summed over days.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hour {
    /// Requests of visitors that were looked up.
    pub looked_up: u64,
    /// Looked-up requests that were answered without waiting for the origin.
    pub hits: u64,
    /// Requests to the origin, including those of plans.
    pub to_origin: u64,
}

/// The results of a week.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// What was served.
    pub kind: SiteKind,
    /// How it was served.
    pub way: Way,
    /// By local hour, on working days.
    pub open_days: [Hour; 24],
    /// By local hour, on Sundays and holidays.
    pub quiet_days: [Hour; 24],
    /// The number of requests of visitors.
    pub requests: u64,
    /// The number of requests to the origin.
    pub to_origin: u64,
    /// The most requests to the origin in a minute, and that minute's local time.
    pub busiest_minute: (u64, String),
    /// The most requests to the origin in a minute of the first hour after opening, on working days.
    pub rush_minute: u64,
    /// Runs of the plan: the local start, and the number of pages fetched.
    pub runs: Vec<(String, u64)>,
}

/// A figure over several seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval in which the mean of very many seeds lies, with 95 % confidence
    /// (Student's t); `None` for one seed.
    pub half_width: Option<f64>,
}

impl Hour {
    /// Hits over looked-up requests; 0 if there were none.
    pub fn hit_rate(&self) -> f64 {
        if self.looked_up == 0 {
            0.0
        } else {
            self.hits as f64 / self.looked_up as f64
        }
    }

    /// Adds the counts of another hour.
    pub fn add(&mut self, other: &Hour) {
        self.looked_up += other.looked_up;
        self.hits += other.hits;
        self.to_origin += other.to_origin;
    }
}

impl Figures {
    /// The hit rate of the first hour after opening, on working days.
    pub fn first_hour(&self) -> f64 {
        self.open_days[hours(self.kind).opens as usize].hit_rate()
    }

    /// The hit rate of the other opening hours.
    pub fn busy_hours(&self) -> f64 {
        let hours = hours(self.kind);
        sum(&self.open_days[hours.opens as usize + 1..hours.closes as usize]).hit_rate()
    }

    /// The hit rate over all hours.
    pub fn hit_rate(&self) -> f64 {
        let mut all = sum(&self.open_days);
        all.add(&sum(&self.quiet_days));
        all.hit_rate()
    }
}

fn sum(hours: &[Hour]) -> Hour {
    let mut sum = Hour::default();
    hours.iter().for_each(|hour| sum.add(hour));
    sum
}

impl Spread {
    /// The spread of the values of several seeds.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Spread {
        /// Student's t for 95 %, by degrees of freedom from 1.
        const T: [f64; 9] = [
            12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262,
        ];
        let count = values.clone().count();
        let mean = values.clone().sum::<f64>() / count.max(1) as f64;
        let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
        let half_width = (count > 1).then(|| {
            let t = T.get(count - 2).copied().unwrap_or(1.96);
            t * (squares / (count - 1) as f64).sqrt() / (count as f64).sqrt()
        });
        Spread { mean, half_width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        let spread = Spread::of([1.0, 2.0, 3.0].into_iter());
        assert!((spread.mean - 2.0).abs() < 1e-9);
        assert!((spread.half_width.unwrap() - 4.303 / 3.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(Spread::of([1.0].into_iter()).half_width, None);
    }
}
