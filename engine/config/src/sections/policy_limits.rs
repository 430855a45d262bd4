//! `[policy.limits]`.

use std::path::Path;
use std::time::Duration;

use crate::files::BaseDir;
use crate::mistakes::Mistakes;
use crate::reader::TableReader;

section! {
    /// Limits of one policy.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    [policy.limits]
    pub struct PolicyLimits {
        /// Maximum time of one decision. `configure` and `plan-warm` get twenty times as much.
        deadline: Duration = "50ms", Duration("1ms", "10s");
        /// Maximum memory of one instance.
        memory: u64 = "64MiB", Size("64KiB", "4GiB");
        /// The largest answer to any hook except `plan-warm`, and the most that one call may log.
        answer: u64 = "256KiB", Size("1KiB", "16MiB");
        /// The largest answer to `plan-warm`.
        plan: u64 = "16MiB", Size("1KiB", "256MiB");
        /// Maximum number of core modules in one instance. Components with a large language runtime
        /// have dozens.
        core_instances: usize = 256, Count(1, 10_000);
        /// Maximum number of log lines per minute, over all instances of the policy.
        log_lines: u32 = 1000, Count(0, 1_000_000);
        /// Decisions after which an instance is replaced by a fresh one.
        decisions_per_instance: u32 = 100000, Count(1, 1_000_000_000);
        /// Consecutive failures of one hook that switch the policy off.
        max_failures: u32 = 10, Count(1, 1_000_000);
    }
}

impl Default for PolicyLimits {
    /// What holds where the table is absent.
    fn default() -> PolicyLimits {
        let mistakes = Mistakes::of("", "");
        let absent = TableReader::absent(&PolicyLimits::SECTION, &mistakes);
        PolicyLimits::read(&absent, BaseDir(Path::new("")))
    }
}
