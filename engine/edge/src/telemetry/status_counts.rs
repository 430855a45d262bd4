//! Counts of responses by their exact status, in memory that doesn't depend on what origins answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// The statuses that IANA has registered. All others are counted by their class.
const REGISTERED: [u16; 61] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304,
    305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415,
    416, 417, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506,
    507, 508, 510, 511,
];
/// The names of the cells for statuses that are not registered.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
const CELLS: usize = REGISTERED.len() + CLASSES.len();

/// The cell of each status from 100 to 599.
const CELL_OF: [u8; 500] = cells();

#[allow(clippy::cast_possible_truncation)] // There are fewer than 256 cells.
const fn cells() -> [u8; 500] {
    let mut cells = [0; 500];
    let mut status = 0;
    while status < cells.len() {
        cells[status] = (REGISTERED.len() + status / 100) as u8;
        status += 1;
    }
    let mut cell = 0;
    while cell < REGISTERED.len() {
        cells[REGISTERED[cell] as usize - 100] = cell as u8;
        cell += 1;
    }
    cells
}

/// Counts of responses by status.
#[derive(Debug)]
pub struct StatusCounts([AtomicU64; CELLS]);

impl Default for StatusCounts {
    fn default() -> StatusCounts {
        StatusCounts(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl StatusCounts {
    /// Counts a response.
    #[inline]
    pub fn record(&self, status: StatusCode) {
        let cell = CELL_OF
            .get(usize::from(status.as_u16()) - 100)
            .map_or(CELLS - 1, |cell| usize::from(*cell));
        self.0[cell].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds the counts to those of `sums`. Statuses that were never sent are left out. The key is the
    /// status (`404`); its class (`4xx`) if the status is not registered; `other` above 599.
    pub fn add_to(&self, sums: &mut BTreeMap<String, u64>) {
        for (cell, count) in self.0.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let name = match REGISTERED.get(cell) {
                    Some(status) => status.to_string(),
                    None => CLASSES[cell - REGISTERED.len()].to_owned(),
                };
                *sums.entry(name).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_counted_by_itself_or_in_its_class() {
        for (status, expected) in [
            (100, "100"),
            (200, "200"),
            (304, "304"),
            (431, "431"),
            (508, "508"),
            (199, "1xx"),
            (299, "2xx"),
            (399, "3xx"),
            (499, "4xx"),
            (520, "5xx"),
            (600, "other"),
            (999, "other"),
        ] {
            let (counts, mut sums) = (StatusCounts::default(), BTreeMap::new());
            counts.record(StatusCode::from_u16(status).unwrap());
            counts.record(StatusCode::from_u16(status).unwrap());
            counts.add_to(&mut sums);
            assert_eq!(sums, BTreeMap::from([(expected.to_owned(), 2)]), "{status}");
        }
    }
}
