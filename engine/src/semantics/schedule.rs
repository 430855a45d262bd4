//! Local time of day: what the clock on the wall of a zone shows at an instant, and the next instant at which a cron expression holds.
