//! The words of user agents, and the kinds of device that they name.

use std::sync::LazyLock;

pub(super) const BOT: u16 = 1;
pub(super) const TV: u16 = 1 << 1;
const TABLET: u16 = 1 << 2;
pub(super) const MOBILE: u16 = 1 << 3;
pub(super) const DESKTOP: u16 = 1 << 4;
/// A phone, even if the agent also says `tablet`, or `android` without `mobile`.
pub(super) const PHONE: u16 = 1 << 5;
const ANDROID: u16 = 1 << 6;
const SILK: u16 = 1 << 7;
const TABLET_WORD: u16 = 1 << 8;
pub(super) const TABLET_PC: u16 = 1 << 9;
pub(super) const TIZEN: u16 = 1 << 10;
pub(super) const TV_ANYWHERE: u16 = 1 << 11;
/// Counts unless it follows `cu`: CUBOT makes phones.
const BOT_UNLESS_CUBOT: u16 = 1 << 12;

/// The kinds of words in a user agent.
#[derive(Clone, Copy)]
pub(super) struct UserAgentWords(u16);

impl UserAgentWords {
    /// Finds the words in one pass over a user agent in lower case.
    pub(super) fn by(agent: &[u8]) -> UserAgentWords {
        let mut said = 0;
        for (at, first) in agent.iter().enumerate() {
            let rest = &agent[at..];
            for (word, kind) in &WORDS_BY_FIRST_BYTE[usize::from(*first & 0x7f)] {
                if rest.starts_with(word.as_bytes()) {
                    said |= in_context(*kind, &agent[..at], &rest[word.len()..]);
                }
            }
        }
        // WhatsApp opens pages in the system's browser. Only its preview fetcher uses this name.
        if agent.starts_with(b"whatsapp/") {
            said |= BOT;
        }
        UserAgentWords(said)
    }

    pub(super) fn any(self, kinds: u16) -> bool {
        self.0 & kinds != 0
    }

    pub(super) fn all(self, kinds: u16) -> bool {
        self.0 & kinds == kinds
    }

    pub(super) fn tablet(self) -> bool {
        if self.any(PHONE) {
            return false;
        }
        // Internet Explorer says `Tablet PC` on any computer with a pen service.
        let says_so = self.any(TABLET) || (self.any(TABLET_WORD) && !self.any(TABLET_PC));
        // Android's browsers say `Mobile` on phones, and do not say it on tablets.
        says_so || (self.any(ANDROID | SILK) && !self.any(MOBILE))
    }
}

/// The kinds that a word stands for in its context.
fn in_context(kind: u16, before: &[u8], after: &[u8]) -> u16 {
    match kind {
        BOT_UNLESS_CUBOT if before.ends_with(b"cu") => 0,
        BOT_UNLESS_CUBOT => BOT,
        // `TV` as a word of its own stands in the model names of many boxes.
        TV_ANYWHERE if !is_letter_or_digit(before.last()) && !is_letter_or_digit(after.first()) => {
            TV | TV_ANYWHERE
        }
        other => other,
    }
}

fn is_letter_or_digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_alphanumeric)
}

/// All words by their first byte.
static WORDS_BY_FIRST_BYTE: LazyLock<[Vec<(&str, u16)>; 128]> = LazyLock::new(|| {
    let single: &[(&[&str], u16)] = &[
        (&["bot"], BOT_UNLESS_CUBOT),
        (&["tv"], TV_ANYWHERE),
        (&["tizen"], TIZEN),
        (&["android"], ANDROID),
        (&["silk/"], SILK),
        (&["tablet"], TABLET_WORD),
        (&["tablet pc"], TABLET_PC),
        (PHONES, PHONE),
    ];
    let lists = [
        (BOTS, BOT),
        (TVS, TV),
        (TABLETS, TABLET),
        (MOBILES, MOBILE),
        (DESKTOPS, DESKTOP),
    ];
    let mut index = std::array::from_fn(|_| Vec::new());
    for (words, kind) in lists.iter().chain(single) {
        for word in *words {
            index[usize::from(word.as_bytes()[0] & 0x7f)].push((*word, *kind));
        }
    }
    index
});

/// Words that only crawlers, monitors, preview fetchers and libraries use.
const BOTS: &[&str] = &[
    "crawl",
    "spider",
    "slurp",
    "+http",
    "scraper",
    "scrapy",
    "archiver",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-externala",
    "mediapartners",
    "adsbot",
    "google-inspectiontool",
    "googleother",
    "google-read-aloud",
    "google favicon",
    "google web preview",
    "google page speed",
    "apis-google",
    "feedfetcher",
    "feedburner",
    "bingpreview",
    "yandeximages",
    "yandexmetrika",
    "baiduspider",
    "lighthouse",
    "headlesschrome",
    "phantomjs",
    "puppeteer",
    "playwright",
    "selenium",
    "pingdom",
    "statuscake",
    "uptime",
    "gtmetrix",
    "site24x7",
    "newrelicpinger",
    "datadog",
    "synthetics",
    "zabbix",
    "nagios",
    "check_http",
    "prometheus",
    "blackbox",
    "kube-probe",
    "elb-healthchecker",
    "googlehc",
    "healthcheck",
    "monitoring",
    "validator",
    "w3c_",
    "linkchecker",
    "embedly",
    "quora link preview",
    "skypeuripreview",
    "vkshare",
    "flipboardproxy",
    "tumblr/",
    "nuzzel",
    "qwantify",
    "chatgpt-user",
    "claude-user",
    "claude-web",
    "anthropic-ai",
    "cohere-ai",
    "perplexity-user",
    "google-extended",
    "diffbot",
    "screaming frog",
    "sitecheck",
    "nutch",
    "heritrix",
    "httrack",
    "libwww",
    "lwp::",
    "lwp-",
    "curl/",
    "wget/",
    "python-",
    "python/",
    "aiohttp",
    "httpx",
    "go-http-client",
    "okhttp",
    "java/",
    "jakarta commons",
    "apache-httpclient",
    "reactornetty",
    "node-fetch",
    "undici",
    "axios/",
    "got (",
    "guzzlehttp",
    "ruby",
    "faraday",
    "php/",
    "postmanruntime",
    "insomnia/",
    "httpie",
    "wordpress/",
    "magpierss",
    "feedly",
    "newsblur",
    "tiny tiny rss",
    "rss reader",
    "feedvalidator",
    "zgrab",
    "masscan",
    "nmap",
    "nikto",
    "sqlmap",
    "wrk/",
    "apachebench",
    "k6/",
    "jmeter",
    "vegeta",
];

/// Television sets, boxes, sticks and consoles.
const TVS: &[&str] = &[
    "smart-tv",
    "smarttv",
    "smart tv",
    "appletv",
    "apple tv",
    "googletv",
    "google tv",
    "androidtv",
    "android tv",
    "hbbtv",
    "ce-html",
    "netcast",
    "web0s",
    "webos.tv",
    "webostv",
    "lg browser",
    "bravia",
    "sonydtv",
    "viera",
    "aquos",
    "philipstv",
    "nettv",
    "toshibatv",
    "vizio",
    "inettvbrowser",
    "opera tv",
    "roku",
    "crkey",
    "chromecast",
    "mitv",
    "mibox",
    "mi box",
    "firetv",
    "fire tv",
    // Amazon's sticks and sets: `AFT` and more letters.
    "; aft",
    "shield android",
    "dlnadoc",
    "espial",
    "ekioh",
    "large screen",
    "set-top",
    "settop",
    "stb;",
    "playstation",
    "xbox",
    "nintendo",
];

/// Tablets that name themselves.
const TABLETS: &[&str] = &[
    "ipad",
    "playbook",
    "kindle",
    "xoom",
    "galaxy tab",
    "mediapad",
    "matepad",
    "ideatab",
    "lenovo tab",
    "nexus 7",
    "nexus 9",
    "nexus 10",
    "pixel c ",
    "sm-t",
    "sm-x",
    "sm-p5",
    "sm-p6",
    "gt-p",
    "hp-tablet",
    "touchpad",
    "transformer prime",
    "tb-x",
    "tb-j",
    "tb3",
    "yoga tab",
];

/// Phones, whatever else the agent says.
const PHONES: &[&str] = &[
    "iphone",
    "windows phone",
    "opera mini",
    "opera mobi",
    "rim tablet",
];

/// Phones, and systems that run on nothing else.
const MOBILES: &[&str] = &[
    "ipod",
    "windows ce",
    "iemobile",
    "blackberry",
    "bb10",
    "ucweb",
    "symbian",
    "series60",
    "series40",
    "nokia",
    "kaios",
    "maemo",
    "meego",
    "fennec",
    "midp",
    "j2me",
    "palmos",
    "webos",
    "hpwos",
    "brew mp",
    "dalvik",
    "mobile",
    "phone",
];

/// Desktop systems. They count if no other kind matches.
const DESKTOPS: &[&str] = &[
    "windows",
    "win64",
    "win98",
    "macintosh",
    "mac os x",
    "mac_powerpc",
    "x11",
    "linux",
    "cros",
    "ubuntu",
    "bsd",
    "sunos",
];
