//! The device class of a visitor, from client hints or else from the user agent.
//!
//! Hints come first because browsers freeze their user agents. Chromium sends `Sec-CH-UA-Mobile`
//! and `Sec-CH-UA-Platform` with every request. Classes that no hint names (crawlers, televisions)
//! are found by the words of the user agent. Every byte sequence has a class, and classifying costs
//! one pass over at most [`MAX_USER_AGENT_BYTES`].

mod words;

use http::{HeaderMap, HeaderName, HeaderValue};

use words::{BOT, DESKTOP, MOBILE, PHONE, TABLET_PC, TIZEN, TV, TV_ANYWHERE, UserAgentWords};

/// The device class of a visitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Device {
    /// A computer with a large screen and a pointer.
    Desktop,
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A television, a set-top box or a games console.
    Tv,
    /// A crawler, a monitor or a library: no person looks at the page.
    Bot,
    /// A client that does not say what it is.
    #[default]
    Unknown,
}

impl Device {
    /// Every class.
    pub const ALL: [Device; 6] = [
        Device::Desktop,
        Device::Mobile,
        Device::Tablet,
        Device::Tv,
        Device::Bot,
        Device::Unknown,
    ];

    /// The name in settings, plans and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Device::Desktop => "desktop",
            Device::Mobile => "mobile",
            Device::Tablet => "tablet",
            Device::Tv => "tv",
            Device::Bot => "bot",
            Device::Unknown => "unknown",
        }
    }

    /// The class with this name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Device> {
        Device::ALL
            .into_iter()
            .find(|device| device.as_str() == name)
    }
}

/// The bytes of a user agent that are read. The words that name the class stand well before this
/// limit.
pub const MAX_USER_AGENT_BYTES: usize = 1024;

/// The bytes of a platform that are read. No client sends a longer one.
pub const MAX_PLATFORM_BYTES: usize = 32;

/// The fields that the device class depends on, borrowed from a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceFields<'a> {
    /// `User-Agent`, cut to [`MAX_USER_AGENT_BYTES`]; empty if it is missing.
    pub user_agent: &'a [u8],
    /// `Sec-CH-UA-Mobile`: true for `?1`, false for `?0`, and `None` otherwise.
    pub mobile: Option<bool>,
    /// `Sec-CH-UA-Platform` without its quotes, cut to [`MAX_PLATFORM_BYTES`]; empty if it is
    /// missing.
    pub platform: &'a [u8],
}

impl<'a> DeviceFields<'a> {
    /// Reads the fields of a request.
    pub fn of(headers: &'a HeaderMap) -> DeviceFields<'a> {
        let mut fields = DeviceFields::default();
        for (name, value) in headers {
            fields.note(name, value);
        }
        fields
    }

    /// Reads one field of a request, and ignores fields that do not concern devices. If a field is
    /// repeated, its first meaningful value counts.
    pub fn note(&mut self, name: &HeaderName, value: &'a HeaderValue) {
        match name.as_str() {
            "user-agent" if self.user_agent.is_empty() => {
                self.user_agent = cut(value.as_bytes(), MAX_USER_AGENT_BYTES)
            }
            "sec-ch-ua-mobile" if self.mobile.is_none() => self.mobile = mobile(value.as_bytes()),
            "sec-ch-ua-platform" if self.platform.is_empty() => {
                self.platform = platform(value.as_bytes())
            }
            _ => {}
        }
    }
}

fn mobile(hint: &[u8]) -> Option<bool> {
    match hint.trim_ascii() {
        b"?1" => Some(true),
        b"?0" => Some(false),
        _ => None,
    }
}

fn platform(hint: &[u8]) -> &[u8] {
    let hint = hint.trim_ascii();
    let unquoted = hint
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    cut(unquoted.unwrap_or(hint), MAX_PLATFORM_BYTES)
}

fn cut(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[..bytes.len().min(at)]
}

/// The device class of a request with these fields.
pub fn classify(headers: &HeaderMap) -> Device {
    class_of(DeviceFields::of(headers))
}

/// The device class that these fields give.
pub fn class_of(fields: DeviceFields<'_>) -> Device {
    let by_agent = by_user_agent(fields.user_agent);
    // Crawlers and televisions run ordinary browsers, whose hints say no more than "not mobile".
    if matches!(by_agent, Device::Bot | Device::Tv) {
        return by_agent;
    }
    by_hints(fields.mobile, fields.platform).unwrap_or(by_agent)
}

/// The class by the hints alone, if they are enough.
fn by_hints(mobile: Option<bool>, platform: &[u8]) -> Option<Device> {
    match (mobile, platform) {
        (Some(true), _) => Some(Device::Mobile),
        (Some(false), b"Android") => Some(Device::Tablet),
        (Some(false), b"Windows" | b"macOS" | b"Linux" | b"Chrome OS" | b"Chromium OS") => {
            Some(Device::Desktop)
        }
        _ => None,
    }
}

/// The class by the user agent alone.
fn by_user_agent(user_agent: &[u8]) -> Device {
    let mut buffer = [0_u8; MAX_USER_AGENT_BYTES];
    let bytes = cut(user_agent.trim_ascii(), MAX_USER_AGENT_BYTES);
    for (to, from) in buffer.iter_mut().zip(bytes) {
        *to = from.to_ascii_lowercase();
    }
    let said = UserAgentWords::by(&buffer[..bytes.len()]);
    match () {
        () if said.any(BOT) => Device::Bot,
        () if said.any(TV) || said.all(TIZEN | TV_ANYWHERE) => Device::Tv,
        () if said.tablet() => Device::Tablet,
        () if said.any(MOBILE | PHONE) => Device::Mobile,
        () if said.any(DESKTOP | TABLET_PC) => Device::Desktop,
        () => Device::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const ANDROID: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0 Safari/537.36";
    const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0 Safari/537.36";

    fn check(user_agent: &str, mobile: &str, platform: &str, expected: Device) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("user-agent", user_agent),
            ("sec-ch-ua-mobile", mobile),
            ("sec-ch-ua-platform", platform),
        ] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        assert_eq!(
            classify(&headers),
            expected,
            "{user_agent:?} {mobile:?} {platform:?}"
        );
    }

    #[test]
    fn hints_come_before_the_user_agent() {
        check(WINDOWS, "?1", "\"Android\"", Device::Mobile);
        check(ANDROID, "?0", "\"Android\"", Device::Tablet);
        check("", "?1", "", Device::Mobile);
        check("", "?0", "\"Android\"", Device::Tablet);
        for platform in [
            "\"Windows\"",
            "\"macOS\"",
            "\"Linux\"",
            "\"Chrome OS\"",
            "\"Chromium OS\"",
        ] {
            check(ANDROID, "?0", platform, Device::Desktop);
        }
    }

    #[test]
    fn without_a_meaningful_hint_the_user_agent_decides() {
        check(WINDOWS, "?0", "\"Unknown\"", Device::Desktop);
        check(WINDOWS, "?0", "", Device::Desktop);
        check(WINDOWS, "1", "\"Android\"", Device::Desktop);
        check(ANDROID, "", "\"Windows\"", Device::Tablet);
        check("", "?0", "\"Fuchsia\"", Device::Unknown);
    }

    #[test]
    fn crawlers_and_televisions_are_recognised_despite_their_hints() {
        let googlebot = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) \
                         Chrome/154.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        check(googlebot, "?1", "\"Android\"", Device::Bot);
        let bravia = "Mozilla/5.0 (Linux; Android 10; BRAVIA 4K VH2 Build/QTG3.200305.006) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/120.0.0.0 Safari/537.36";
        check(bravia, "?0", "\"Android\"", Device::Tv);
    }

    #[test]
    fn words_inside_other_words_do_not_mislead() {
        let cubot = "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0 Mobile Safari/537.36";
        check(cubot, "", "", Device::Mobile);
        let tablet_pc =
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)";
        check(tablet_pc, "", "", Device::Desktop);
        check(
            "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16",
            "",
            "",
            Device::Mobile,
        );
    }

    #[test]
    fn a_meaningless_user_agent_is_unknown() {
        for user_agent in ["", " ", "-", "x", "Mozilla/5.0", "tv", "MyApp/1.0"] {
            let expected = if user_agent == "tv" {
                Device::Tv
            } else {
                Device::Unknown
            };
            check(user_agent, "", "", expected);
        }
    }

    #[test]
    fn words_after_the_cut_do_not_count() {
        let long = format!("{}{} iPhone", "x".repeat(MAX_USER_AGENT_BYTES - 7), "");
        check(&long, "", "", Device::Mobile);
        check(&format!("x{long}"), "", "", Device::Unknown);
    }

    proptest! {
        #[test]
        fn every_byte_sequence_has_a_class(bytes: Vec<u8>, mobile: Option<bool>, platform: Vec<u8>) {
            let platform = cut(&platform, MAX_PLATFORM_BYTES);
            class_of(DeviceFields { user_agent: &bytes, mobile, platform });
        }
    }
}
