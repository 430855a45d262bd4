//! How long is waited before something is tried again: longer each time, and never at the same time as
//! other nodes.

use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};

/// The first wait, which doubles with each failure.
pub const FIRST_REST: Duration = Duration::from_millis(100);
/// The longest wait.
pub const LONGEST_REST: Duration = Duration::from_secs(2);

/// A wait that is cut by up to half, at random.
pub fn shortened(wait: Duration) -> Duration {
    wait - wait.mul_f64(chance() / 2.0)
}

/// A number from 0 to 1, at random.
pub fn chance() -> f64 {
    let mut bytes = [0_u8; 2];
    // Without chance it is always 0, and nodes may come together.
    let _ = getrandom(&mut bytes[..], GetRandomFlags::empty());
    f64::from(u16::from_be_bytes(bytes)) / 65_536.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_cut_by_half_at_most() {
        let wait = Duration::from_millis(100);
        let cut: Vec<Duration> = (0..100).map(|_| shortened(wait)).collect();
        assert!(cut.iter().all(|cut| (wait / 2..=wait).contains(cut)));
        assert!(cut.iter().any(|one| *one != cut[0]));
    }
}
