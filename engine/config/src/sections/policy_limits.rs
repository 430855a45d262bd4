//! `[policy.limits]`.

use std::path::Path;
use std::time::Duration;

use crate::files::BaseDir;
use crate::forms;
use crate::mistakes::Mistakes;
use crate::reader::TableReader;
use crate::units::Share;

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
        /// Failed questions of one hook below which the policy is never switched off for its share
        /// of failures. A question that fails again within 20 seconds counts once.
        max_failures: u32 = 10, Count(1, 1_000_000);
        /// The largest share of failed questions, and of the time of one thread that failed
        /// questions take, over the last 10 to 20 seconds. Beyond it the policy is switched off for
        /// a rest. `"100%"` never switches it off.
        max_failure_share: Share = "10%", Text("a percentage, `\"10%\"`") => forms::share;
        /// How long a failed question is remembered: it is not asked again meanwhile. `"0s"` asks
        /// each time. At most 1024 questions of a policy are remembered.
        failure_memory: Duration = "1s", Duration("0s", "1min");
        /// The first rest of a policy that is switched off. A rest is twice as long as the one
        /// before if the policy fails again soon after it.
        rest: Duration = "5s", Duration("100ms", "1h");
        /// The longest rest; `rest` if that is longer.
        max_rest: Duration = "5min", Duration("100ms", "24h");
        /// What holds for a request about which the policy can't be asked, because it is switched
        /// off or fails: `headers` leaves the request to the response's own fields, `pass` forwards
        /// it and stores nothing.
        when_off: WhenOff = "headers",
            OneOf("headers" => WhenOff::Headers, "pass" => WhenOff::Pass);
    }
}

/// What holds for a request about which a policy can't be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenOff {
    /// The response's own fields decide.
    #[default]
    Headers,
    /// The request is passed, and its response isn't stored.
    Pass,
}

impl Default for PolicyLimits {
    /// What holds where the table is absent.
    fn default() -> PolicyLimits {
        let mistakes = Mistakes::of("", "");
        let absent = TableReader::absent(&PolicyLimits::SECTION, &mistakes);
        PolicyLimits::read(&absent, BaseDir(Path::new("")))
    }
}
