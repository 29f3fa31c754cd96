//! `strftime_now`: the date of today in the template's own format, in UTC.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// `time` in the format of C's `strftime`. A directive that is not known stays as it is.
pub(super) fn format(time: SystemTime, format: &str) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (weekday, month_name) = (WEEKDAYS[((days + 4) % 7) as usize], MONTHS[month as usize - 1]);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let half = if hour < 12 { "AM" } else { "PM" };
    let day_of_year = days - days_before(year) + 1;

    let mut text = String::with_capacity(format.len() + 16);
    let mut rest = format.chars();
    while let Some(char) = rest.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        let mut directive = rest.next();
        let bare = directive == Some('-');
        if bare {
            directive = rest.next();
        }
        let mut number = |value: u64, width: usize| if bare { write!(text, "{value}") } else { write!(text, "{value:0width$}") };
        // Writing to a string cannot fail.
        let _ = match directive {
            Some('Y') => number(year, 4),
            Some('y') => number(year % 100, 2),
            Some('m') => number(month, 2),
            Some('d') => number(day, 2),
            Some('H') => number(hour, 2),
            Some('I') => number(hour12, 2),
            Some('M') => number(minute, 2),
            Some('S') => number(second, 2),
            Some('j') => number(day_of_year, 3),
            Some('e') => write!(text, "{day:2}"),
            Some('B') => write!(text, "{month_name}"),
            Some('b' | 'h') => write!(text, "{}", &month_name[..3]),
            Some('A') => write!(text, "{weekday}"),
            Some('a') => write!(text, "{}", &weekday[..3]),
            Some('p') => write!(text, "{half}"),
            Some('F') => write!(text, "{year:04}-{month:02}-{day:02}"),
            Some('D') => write!(text, "{month:02}/{day:02}/{:02}", year % 100),
            Some('T') => write!(text, "{hour:02}:{minute:02}:{second:02}"),
            Some('R') => write!(text, "{hour:02}:{minute:02}"),
            Some('Z') => write!(text, "UTC"),
            Some('z') => write!(text, "+0000"),
            Some('%') => write!(text, "%"),
            Some(other) => write!(text, "%{}{other}", if bare { "-" } else { "" }),
            None => write!(text, "%"),
        };
    }
    text
}

/// Days from the epoch to the first of January of `year`.
fn days_before(year: u64) -> u64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400 - 719_162
}

/// Year, month and day of a day counted from the epoch.
fn civil(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut day = days - days_before(year);
    let mut month = 1;
    for length in [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn formats_as_strftime() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(format(at(0), "%A, %d %B %Y %H:%M:%S"), "Thursday, 01 January 1970 00:00:00");
        assert_eq!(format(at(951_782_400), "%d %b %Y, day %j"), "29 Feb 2000, day 060");
        assert_eq!(format(at(1_735_689_599), "%Y-%m-%d %I:%M %p %-d%%%q"), "2024-12-31 11:59 PM 31%%q");
        assert_eq!(format(at(4_107_542_400), "%F %a"), "2100-03-01 Mon");
    }
}
