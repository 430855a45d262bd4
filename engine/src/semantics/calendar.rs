//! Holiday calendars: dates with a name, closed or half-day.
