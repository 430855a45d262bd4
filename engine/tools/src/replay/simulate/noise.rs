//! How sure a figure is: days are drawn again and again from those of the log (bootstrap), and what
//! comes of most drawings is the interval.

use serde::Serialize;

use crate::dice::Dice;

/// Drawings.
const DRAWINGS: usize = 1_000;

/// The days that a log must have, at least, so that days tell anything.
pub const MIN_DAYS: usize = 3;

/// The range in which 95 of 100 drawings lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoiseInterval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl NoiseInterval {
    /// Whether it leaves out zero: then a difference is more than noise.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The interval of a figure over `days` days, which `figure` tells for a choice of them, in which a day
/// may be more than once. `None` with fewer days than [`MIN_DAYS`], or where the figure has no value for
/// most choices.
pub fn interval(days: usize, figure: impl Fn(&[usize]) -> Option<f64>) -> Option<NoiseInterval> {
    if days < MIN_DAYS {
        return None;
    }
    let mut dice = Dice::seeded(23);
    let mut choice = vec![0; days];
    let mut figures: Vec<f64> = Vec::with_capacity(DRAWINGS);
    for _ in 0..DRAWINGS {
        for day in &mut choice {
            *day = usize::try_from(dice.below(days as u64)).unwrap_or_default();
        }
        figures.extend(figure(&choice).filter(|figure| figure.is_finite()));
    }
    if figures.len() < DRAWINGS / 2 {
        return None;
    }
    figures.sort_by(f64::total_cmp);
    let outside = figures.len() / 40;
    Some(NoiseInterval {
        low: figures[outside],
        high: figures[figures.len() - 1 - outside],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_the_mean_and_narrows_with_days() {
        let width = |days: usize| {
            let mean = |choice: &[usize]| {
                let sum: usize = choice.iter().map(|day| day % 2).sum();
                Some(sum as f64 / choice.len() as f64)
            };
            let interval = interval(days, mean).unwrap();
            assert!(interval.low <= 0.5 && interval.high >= 0.5);
            interval.high - interval.low
        };
        assert!(width(100) < width(10));
        assert!(
            (width(100) - 0.2).abs() < 0.05,
            "two standard errors to each side"
        );
    }

    #[test]
    fn few_days_tell_nothing() {
        assert_eq!(interval(MIN_DAYS - 1, |_| Some(1.0)), None);
        assert_eq!(interval(10, |_| None), None);
        let same = interval(MIN_DAYS, |_| Some(1.0)).unwrap();
        assert!(same.excludes_zero());
        assert!(
            !NoiseInterval {
                low: -1.0,
                high: 1.0
            }
            .excludes_zero()
        );
    }
}
