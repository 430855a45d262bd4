//! Rules at the edges; whole calendars are compared with other lists in `tests`.

use super::*;

/// The dates of a rule in these years, as text; `-` for none.
fn dates(day: LawDay, years: &[i32]) -> String {
    let date = |year: &i32| day.date_in(*year, |_| false);
    let dates = years
        .iter()
        .map(|year| date(year).map_or("-".to_owned(), |date| date.to_string()));
    dates.collect::<Vec<_>>().join(" ")
}

#[test]
fn easter_is_where_the_church_has_it() {
    let years = [1961, 2008, 2011, 2019, 2038, 2049, 2076, 2100];
    assert_eq!(
        dates(easter("Pascua", 0), &years),
        "1961-04-02 2008-03-23 2011-04-24 2019-04-21 2038-04-25 2049-04-18 2076-04-19 2100-03-28"
    );
}

#[test]
fn argentina_moves_a_day_to_the_monday_that_is_near() {
    // Saturday, Monday, Tuesday, Wednesday, Friday, Saturday, Thursday.
    let day = fixed("Soberanía", 11, 20).shifted(Shift::NearMonday);
    assert_eq!(
        dates(day, &[2021, 2023, 2029, 2030, 2026, 2027, 2025]),
        "2021-11-20 2023-11-20 2029-11-19 2030-11-18 2026-11-23 2027-11-20 2025-11-24"
    );
    // In 2033, 17 June is a Friday, and Monday the 20th a holiday already.
    let june = CountryLaw::named("argentina").unwrap().holidays(None);
    let in_june = june
        .keys()
        .filter(|date| (date.year(), date.month()) == (2033, 6));
    let days: Vec<u32> = in_june.map(Datelike::day).collect();
    assert_eq!(days, [17, 20]);
}

#[test]
fn chile_moves_a_day_to_a_monday_or_a_friday() {
    // Thursday, Friday, Saturday, Monday, Tuesday, Wednesday.
    let years = [2023, 2029, 2030, 2026, 2027, 2022];
    let june = fixed("San Pedro", 6, 29).shifted(Shift::WeekMonday);
    assert_eq!(
        dates(june, &years),
        "2023-06-26 2029-07-02 2030-06-29 2026-06-29 2027-06-28 2022-06-27"
    );
    // Tuesday, Wednesday, Thursday.
    let october = fixed("Iglesias", 10, 31).shifted(Shift::NearFriday);
    assert_eq!(
        dates(october, &[2028, 2029, 2030]),
        "2028-10-27 2029-11-02 2030-10-31"
    );
    let september = fixed("Patrias", 9, 17).shifted(Shift::Only(&[Weekday::Mon, Weekday::Fri]));
    assert_eq!(
        dates(september, &[2027, 2029, 2030]),
        "2027-09-17 2029-09-17 -"
    );
}

#[test]
fn spain_drops_a_sunday_or_moves_it() {
    let day = fixed("Inmaculada", 12, 8);
    assert_eq!(
        dates(day.shifted(Shift::NoSunday), &[2023, 2024]),
        "2023-12-08 -"
    );
    assert_eq!(
        dates(day.shifted(Shift::SundayToMonday), &[2023, 2024]),
        "2023-12-08 2024-12-09"
    );
    let instead = fixed("Santiago", 7, 25).in_years(Years::IfSunday(&[(5, 1)]));
    assert_eq!(dates(instead, &[2022, 2023]), "2022-07-25 -");
}

#[test]
fn mexico_changes_its_government_every_six_years() {
    let day = fixed("Transmisión", 10, 1).in_years(Years::Every {
        first: 2024,
        step: 6,
    });
    assert_eq!(
        dates(day, &[2018, 2024, 2025, 2030, 2036]),
        "- 2024-10-01 - 2030-10-01 2036-10-01"
    );
    let monday = on("Juárez", LawDate::Monday(3, 3));
    assert_eq!(
        dates(monday, &[2026, 2027, 2028]),
        "2026-03-16 2027-03-15 2028-03-20"
    );
}
