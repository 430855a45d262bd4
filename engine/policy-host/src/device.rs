//! The device class of a visitor, from client hints or else from the user agent.
//!
//! Hints come before loose words because browsers freeze their user agents. Chromium sends
//! `Sec-CH-UA-Mobile` and `Sec-CH-UA-Platform` with every request, and `Sec-CH-UA-Form-Factors` if
//! a page asks for it. Classes that no hint names (crawlers, televisions) are found by the words of
//! the user agent, and some devices by their model ([`DeviceModels`]). Every byte sequence has a
//! class, and classifying costs one pass over at most [`MAX_USER_AGENT_BYTES`].

mod agent;
mod models;
mod words;

use http::{HeaderMap, HeaderName, HeaderValue};

use agent::Agent;
use words::{
    ANDROID, APPLE_APP, BOT, BOT_ELSE, COMPUTER, DESKTOP, MOBILE, PHONE, TABLET_PC, TIZEN, TV,
    TV_WORD, UserAgentWords,
};

pub use models::{DeviceModels, DeviceModelsError, MAX_MODEL_BYTES, MAX_MODELS_BYTES};

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

/// How a device class was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceSource {
    /// By client hints.
    ClientHints,
    /// By the user agent.
    UserAgent,
    /// By nothing: the client does not say what it is.
    #[default]
    Nothing,
}

impl DeviceSource {
    /// Every source.
    pub const ALL: [DeviceSource; 3] = [
        DeviceSource::ClientHints,
        DeviceSource::UserAgent,
        DeviceSource::Nothing,
    ];

    /// The name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceSource::ClientHints => "client-hints",
            DeviceSource::UserAgent => "user-agent",
            DeviceSource::Nothing => "nothing",
        }
    }

    /// The source with this name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<DeviceSource> {
        DeviceSource::ALL
            .into_iter()
            .find(|source| source.as_str() == name)
    }
}

/// How the class of a request with these fields was found: by its client hints, if they say by
/// themselves what was found, else by its user agent, or by what a trusted proxy made of that.
pub fn source_of(headers: &HeaderMap, class: Device) -> DeviceSource {
    let fields = DeviceFields::of(headers);
    let by_hints = fields
        .form_factor
        .or_else(|| by_hints(fields.mobile, fields.platform));
    match class {
        Device::Unknown => DeviceSource::Nothing,
        class if by_hints == Some(class) => DeviceSource::ClientHints,
        _ => DeviceSource::UserAgent,
    }
}

/// The bytes of a user agent that are read. The words that name the class stand well before this
/// limit.
pub const MAX_USER_AGENT_BYTES: usize = 1024;

/// The bytes of a platform that are read. No client sends a longer one.
pub const MAX_PLATFORM_BYTES: usize = 32;

/// The bytes of `Sec-CH-UA-Form-Factors` that are read. All names that there are need fewer.
pub const MAX_FORM_FACTORS_BYTES: usize = 96;

/// The user agent that CloudFront sends in place of a visitor's.
const CLOUDFRONT: &[u8] = b"Amazon CloudFront";

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
    /// The class that `Sec-CH-UA-Form-Factors` names; `None` if it names none.
    pub form_factor: Option<Device>,
    /// The class that a proxy names which the site trusts, for visitors whose user agent it keeps
    /// to itself; see [`viewer`].
    pub viewer: Option<Device>,
}

impl<'a> DeviceFields<'a> {
    /// Reads the fields of a request that came from no trusted proxy.
    pub fn of(headers: &'a HeaderMap) -> DeviceFields<'a> {
        let mut fields = DeviceFields::default();
        for (name, value) in headers {
            fields.note(name, value);
        }
        fields
    }

    /// Reads a `User-Agent`. If it is repeated, its first meaningful value counts.
    #[inline]
    pub fn note_user_agent(&mut self, value: &'a HeaderValue) {
        if self.user_agent.is_empty() {
            self.user_agent = cut(value.as_bytes(), MAX_USER_AGENT_BYTES);
        }
    }

    /// Reads one field of a request, and ignores fields that do not concern devices. If a field is
    /// repeated, its first meaningful value counts.
    pub fn note(&mut self, name: &HeaderName, value: &'a HeaderValue) {
        match name.as_str() {
            "user-agent" => self.note_user_agent(value),
            "sec-ch-ua-mobile" if self.mobile.is_none() => self.mobile = mobile(value.as_bytes()),
            "sec-ch-ua-platform" if self.platform.is_empty() => {
                self.platform = platform(value.as_bytes())
            }
            "sec-ch-ua-form-factors" if self.form_factor.is_none() => {
                self.form_factor = form_factor(value.as_bytes())
            }
            _ => {}
        }
    }

    /// Whether the user agent is that of a proxy, so that [`DeviceFields::viewer`] counts.
    pub fn is_of_proxy(&self) -> bool {
        self.user_agent.trim_ascii() == CLOUDFRONT
    }
}

/// Whether the class of a device depends on the field with this name, which is in lower case. The
/// list is longer than what is read here: applications read the other client hints.
pub fn reads(name: &str) -> bool {
    name == "user-agent" || name.starts_with("sec-ch-")
}

/// The class that CloudFront gives to its visitor (`CloudFront-Is-Mobile-Viewer` and its like);
/// `None` if it sends no such field. A phone is also called a tablet there if it is large, so the
/// tablet comes first. Any client can send these fields: ask only if the site trusts the proxy.
pub fn viewer(headers: &HeaderMap) -> Option<Device> {
    let says = |name: &str| headers.get(name).is_some_and(|value| value == "true");
    [
        ("cloudfront-is-smarttv-viewer", Device::Tv),
        ("cloudfront-is-tablet-viewer", Device::Tablet),
        ("cloudfront-is-mobile-viewer", Device::Mobile),
        ("cloudfront-is-desktop-viewer", Device::Desktop),
    ]
    .into_iter()
    .find_map(|(name, device)| says(name).then_some(device))
}

fn mobile(hint: &[u8]) -> Option<bool> {
    match hint.trim_ascii() {
        b"?1" => Some(true),
        b"?0" => Some(false),
        _ => None,
    }
}

fn platform(hint: &[u8]) -> &[u8] {
    cut(unquoted(hint), MAX_PLATFORM_BYTES)
}

fn unquoted(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    text.strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(text)
}

/// The class of the first form factor that names one. A watch is held and used as a phone is; what
/// a car or a headset shows depends on the page, so they name none.
fn form_factor(hint: &[u8]) -> Option<Device> {
    cut(hint, MAX_FORM_FACTORS_BYTES)
        .split(|byte| *byte == b',')
        .find_map(|factor| match unquoted(factor) {
            b"Desktop" => Some(Device::Desktop),
            b"Mobile" | b"Watch" => Some(Device::Mobile),
            b"Tablet" => Some(Device::Tablet),
            _ => None,
        })
}

fn cut(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[..bytes.len().min(at)]
}

/// The device class of a request with these fields, by the models that come with tero.
pub fn classify(headers: &HeaderMap) -> Device {
    class_of(DeviceFields::of(headers), DeviceModels::shipped())
}

/// The device class that these fields and models give.
pub fn class_of(fields: DeviceFields<'_>, models: &DeviceModels) -> Device {
    // It stands for any visitor: whoever came to CloudFront.
    if fields.is_of_proxy() {
        return fields.viewer.unwrap_or(Device::Unknown);
    }
    let agent = Agent::of(fields.user_agent);
    let said = UserAgentWords::by(&agent);
    // Crawlers and televisions run ordinary browsers, whose hints say no more than "not mobile".
    if said.any(TV) || said.all(TIZEN | TV_WORD) {
        return Device::Tv;
    }
    if said.any(BOT) {
        return Device::Bot;
    }
    if let Some(device) = fields.form_factor {
        return device;
    }
    let by_model = models
        .class_of(agent.model())
        .or_else(|| is_screen(agent.model()).then_some(Device::Tv));
    match by_hints(fields.mobile, fields.platform) {
        // Boxes run the browser of tablets.
        Some(Device::Tablet) if by_model == Some(Device::Tv) => Device::Tv,
        Some(device) => device,
        None => by_model.unwrap_or_else(|| by_words(said)),
    }
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

/// The class by the loose words of the user agent.
fn by_words(said: UserAgentWords) -> Device {
    match () {
        () if said.any(COMPUTER) && !said.any(PHONE) => Device::Desktop,
        () if said.tablet() => Device::Tablet,
        () if said.any(MOBILE | PHONE | ANDROID) => Device::Mobile,
        () if said.any(DESKTOP | TABLET_PC) => Device::Desktop,
        () if said.any(BOT_ELSE) => Device::Bot,
        () if said.any(APPLE_APP) => Device::Desktop,
        () => Device::Unknown,
    }
}

/// The inches of television sets that models begin with.
const SCREEN_INCHES: [&[u8; 2]; 22] = [
    b"19", b"22", b"24", b"28", b"32", b"39", b"40", b"42", b"43", b"48", b"49", b"50", b"55",
    b"58", b"60", b"65", b"70", b"75", b"77", b"82", b"85", b"98",
];

/// Whether a model is that of a television set: a word of it begins with the inches of the screen,
/// after at most one letter, and goes on with two letters (`43LU8010T`, `H32F8000C`).
fn is_screen(model: &[u8]) -> bool {
    model
        .split(|byte| matches!(byte, b' ' | b'-' | b'_'))
        .any(|word| {
            let begins = |word: &[u8]| {
                word.len() >= 6
                    && SCREEN_INCHES.iter().any(|inches| word.starts_with(*inches))
                    && word[2].is_ascii_alphabetic()
                    && word[3].is_ascii_alphanumeric()
            };
            begins(word) || (word.len() >= 8 && word[0].is_ascii_alphabetic() && begins(&word[1..]))
        })
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
    fn the_source_of_a_class_is_what_says_it() {
        let source = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            source_of(&headers, classify(&headers))
        };
        let mobile = ("sec-ch-ua-mobile", "?1");
        let agent = ("user-agent", WINDOWS);
        assert_eq!(source(&[mobile, agent]), DeviceSource::ClientHints);
        let factor = ("sec-ch-ua-form-factors", "\"Tablet\"");
        assert_eq!(source(&[factor]), DeviceSource::ClientHints);
        assert_eq!(source(&[agent]), DeviceSource::UserAgent);
        let bot = ("user-agent", "Googlebot/2.1");
        assert_eq!(source(&[bot, mobile]), DeviceSource::UserAgent);
        assert_eq!(source(&[]), DeviceSource::Nothing);
        assert_eq!(source(&[("user-agent", "?")]), DeviceSource::Nothing);
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
    fn a_form_factor_comes_before_the_other_hints() {
        for (factors, device) in [
            ("\"Tablet\"", Device::Tablet),
            ("\"Mobile\"", Device::Mobile),
            ("\"Desktop\"", Device::Desktop),
            ("\"XR\", \"Mobile\"", Device::Mobile),
            ("\"EInk\",\"Watch\"", Device::Mobile),
            // They name no class, so the platform decides.
            ("\"XR\"", Device::Tablet),
            ("", Device::Tablet),
            ("\"Toaster\", x", Device::Tablet),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("user-agent", WINDOWS),
                ("sec-ch-ua-mobile", "?0"),
                ("sec-ch-ua-platform", "\"Android\""),
                ("sec-ch-ua-form-factors", factors),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            assert_eq!(classify(&headers), device, "{factors}");
        }
    }

    #[test]
    fn form_factors_after_the_cut_do_not_count() {
        let mut headers = HeaderMap::new();
        let spaces = " ".repeat(MAX_FORM_FACTORS_BYTES - 9);
        for (extra, device) in [("", Device::Desktop), (" ", Device::Unknown)] {
            let value = format!(",{extra}{}\"Desktop\"", &spaces[1..]);
            headers.insert(
                "sec-ch-ua-form-factors",
                HeaderValue::from_str(&value).unwrap(),
            );
            assert_eq!(classify(&headers), device, "{}", value.len());
        }
    }

    #[test]
    fn hints_come_before_loose_words_and_models() {
        let tablet = "Mozilla/5.0 (Linux; Android 13; SM-X810) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
        check(tablet, "", "", Device::Tablet);
        check(tablet, "?1", "\"Android\"", Device::Mobile);
        check(tablet, "?0", "\"Windows\"", Device::Desktop);
        // A box runs the browser of a tablet.
        let a_box = "Mozilla/5.0 (Linux; Android 11; X96Q Build/RP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/104.0.0.0 Safari/537.36";
        check(a_box, "?0", "\"Android\"", Device::Tv);
        check(a_box, "?1", "\"Android\"", Device::Mobile);
    }

    #[test]
    fn cloudfront_stands_for_any_visitor() {
        check("Amazon CloudFront", "?1", "\"Android\"", Device::Unknown);
        check("Amazon CloudFront/1", "", "", Device::Unknown);
        for (name, device) in [
            ("cloudfront-is-mobile-viewer", Device::Mobile),
            ("cloudfront-is-tablet-viewer", Device::Tablet),
            ("cloudfront-is-smarttv-viewer", Device::Tv),
            ("cloudfront-is-desktop-viewer", Device::Desktop),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("user-agent", HeaderValue::from_static("Amazon CloudFront"));
            headers.insert(name, HeaderValue::from_static("true"));
            // Whoever sent them is not trusted.
            assert_eq!(classify(&headers), Device::Unknown);
            let mut fields = DeviceFields::of(&headers);
            fields.viewer = viewer(&headers);
            let told = class_of(fields, DeviceModels::shipped());
            assert_eq!(told, device, "{name}");
            // A client that names itself is classified by what it says.
            fields.user_agent = WINDOWS.as_bytes();
            let told = class_of(fields, DeviceModels::shipped());
            assert_eq!(told, Device::Desktop, "{name}");
            headers.insert(name, HeaderValue::from_static("false"));
            assert_eq!(viewer(&headers), None);
        }
    }

    #[test]
    fn health_checkers_are_bots() {
        for user_agent in [
            "Amazon-Route53-Health-Check-Service (ref 0a1b; report http://amzn.to/1vsZADi)",
            "ELB-HealthChecker/2.0",
            "GoogleHC/1.0",
            "kube-probe/1.31",
            "Consul Health Check",
            "Cloudflare-Traffic-Manager/1.0 (+https://www.cloudflare.com/traffic-manager/)",
        ] {
            check(user_agent, "", "", Device::Bot);
        }
    }

    #[test]
    fn words_of_a_model_name_no_bot() {
        for model in ["M bot 60", "Ruby5S", "Spider 8", "HTC Scanner"] {
            let agent = format!(
                "Mozilla/5.0 (Linux; Android 9; {model} Build/PPR1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.0.0 Mobile Safari/537.36"
            );
            check(&agent, "", "", Device::Mobile);
        }
    }

    #[test]
    fn screens_name_their_inches() {
        for (model, expected) in [
            ("43lu8010t", true),
            ("h32f8000c", true),
            ("dm 24lex7155", true),
            ("43lu8", false),
            ("20jjs0cu1m", false),
            ("22081283c", false),
            ("sm-g991b", false),
            ("50b platinum", false),
            ("", false),
        ] {
            assert_eq!(is_screen(model.as_bytes()), expected, "{model}");
        }
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
            let fields = DeviceFields { user_agent: &bytes, mobile, platform, ..DeviceFields::default() };
            class_of(fields, DeviceModels::shipped());
        }
    }
}
