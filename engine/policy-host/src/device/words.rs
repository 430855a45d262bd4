//! The words of user agents, and the kinds of device that they name.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::agent::Agent;

/// Only crawlers, monitors, preview fetchers and libraries say this.
pub(super) const BOT: u32 = 1;
/// A bot if nothing else tells the class.
pub(super) const BOT_ELSE: u32 = 1 << 1;
/// Only browsers of televisions, boxes and consoles say this.
pub(super) const TV: u32 = 1 << 2;
pub(super) const TIZEN: u32 = 1 << 3;
/// "TV" as a word of its own.
pub(super) const TV_WORD: u32 = 1 << 4;
const TABLET: u32 = 1 << 5;
pub(super) const MOBILE: u32 = 1 << 6;
pub(super) const DESKTOP: u32 = 1 << 7;
/// A phone, even if the agent also says `tablet`, or `android` without `mobile`.
pub(super) const PHONE: u32 = 1 << 8;
pub(super) const ANDROID: u32 = 1 << 9;
const SILK: u32 = 1 << 10;
const TABLET_WORD: u32 = 1 << 11;
/// Internet Explorer says `Tablet PC` on any computer with a pen service.
pub(super) const TABLET_PC: u32 = 1 << 12;
/// A computer, even if the agent also says `android` or `mobile`.
pub(super) const COMPUTER: u32 = 1 << 13;
/// An address that tells who operates a bot. Toolbars of Internet Explorer have one as well.
const ADDRESS: u32 = 1 << 14;
const EXPLORER: u32 = 1 << 15;
/// `bot`, which also stands inside other words.
const BOT_WORD: u32 = 1 << 16;
/// An app of Apple's systems that names neither of them.
pub(super) const APPLE_APP: u32 = 1 << 17;
/// `(compatible`: a browser names its system there as well.
const COMPATIBLE: u32 = 1 << 18;
/// A system that runs on televisions and boxes unless X11 or Android is named too.
const EMBEDDED: u32 = 1 << 19;
const X11: u32 = 1 << 20;

/// The kinds of words in a user agent.
#[derive(Clone, Copy)]
pub(super) struct UserAgentWords(u32);

impl UserAgentWords {
    /// Finds the words in one pass over a user agent in lower case. Words of the model
    /// do not count here: see [`super::DeviceModels`].
    pub(super) fn by(agent: &Agent) -> UserAgentWords {
        let text = agent.text();
        let mut said = 0;
        for found in WORDS.matcher.find_overlapping_iter(text) {
            let kind = WORDS.kinds[found.pattern()];
            // Opera Mini stands where others name the model.
            if kind == PHONE || !agent.is_model(found.start()) {
                said |= in_context(kind, &text[..found.start()], &text[found.end()..]);
            }
        }
        if said & ADDRESS != 0 && said & EXPLORER == 0 {
            said |= BOT;
        }
        if said & COMPATIBLE != 0 {
            said |= BOT_ELSE;
        }
        if said & EMBEDDED != 0 && said & (X11 | ANDROID) == 0 {
            said |= TV;
        }
        // Every browser describes its system in a comment.
        if text.len() > 12 && text.starts_with(b"mozilla/") && !text.contains(&b'(') {
            said |= BOT_ELSE;
        }
        // WhatsApp opens pages in the system's browser. Only its preview fetcher uses this name.
        if text.starts_with(b"whatsapp") {
            said |= BOT;
        }
        UserAgentWords(said)
    }

    pub(super) fn any(self, kinds: u32) -> bool {
        self.0 & kinds != 0
    }

    pub(super) fn all(self, kinds: u32) -> bool {
        self.0 & kinds == kinds
    }

    pub(super) fn tablet(self) -> bool {
        if self.any(PHONE) {
            return false;
        }
        let says_so = self.any(TABLET) || (self.any(TABLET_WORD) && !self.any(TABLET_PC));
        // Android's browsers say `Mobile` on phones, and do not say it on tablets.
        says_so || (self.any(ANDROID | SILK) && !self.any(MOBILE))
    }
}

/// The kinds that a word stands for in its context.
fn in_context(kind: u32, before: &[u8], after: &[u8]) -> u32 {
    let stands_alone = !is_letter_or_digit(before.last()) && !is_letter_or_digit(after.first());
    match kind {
        // Cubot makes phones. Cabot and Botech make browsers of televisions.
        BOT_WORD if before.ends_with(b"cu") || after.starts_with(b"ech") => 0,
        BOT_WORD if before.ends_with(b"ca") && after.starts_with(b"o") => 0,
        BOT_WORD => BOT,
        // `TV` as a word of its own stands in the names of many boxes.
        TV_WORD if stands_alone => TV | TV_WORD,
        // A contact, and not the mark of a package's version.
        ADDRESS if after.starts_with(b" ") => 0,
        other => other,
    }
}

fn is_letter_or_digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_alphanumeric)
}

struct Words {
    matcher: AhoCorasick,
    kinds: Vec<u32>,
}

/// All words.
static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let single: &[(&[&str], u32)] = &[
        (&["bot"], BOT_WORD),
        (&["tv"], TV_WORD),
        (&["tizen"], TIZEN),
        (&["android"], ANDROID),
        (&["silk/"], SILK),
        (&["tablet"], TABLET_WORD),
        (&["tablet pc"], TABLET_PC),
        (&["http://", "https://", "mailto:"], ADDRESS),
        (&["msie", "trident/"], EXPLORER),
        (&["cfnetwork/"], APPLE_APP),
        (&["(compatible"], COMPATIBLE),
        (&["x11"], X11),
        (
            &[
                "linux mips",
                "linux armv7l",
                "linux armv7i",
                "linux armv6l",
                "linux sh4",
                "linux arm)",
            ],
            EMBEDDED,
        ),
    ];
    let lists = [
        (BOTS, BOT),
        (BOTS_ELSE, BOT_ELSE),
        (TVS, TV),
        (TABLETS, TABLET),
        (PHONES, PHONE),
        (MOBILES, MOBILE),
        (COMPUTERS, COMPUTER),
        (DESKTOPS, DESKTOP),
    ];
    let (words, kinds): (Vec<&str>, Vec<u32>) = lists
        .iter()
        .chain(single)
        .flat_map(|(words, kind)| words.iter().map(|word| (*word, *kind)))
        .unzip();
    let matcher = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .match_kind(MatchKind::Standard)
        .build(words)
        .expect("some hundred short words");
    Words { matcher, kinds }
});

/// Words that only crawlers, monitors, preview fetchers and libraries use.
const BOTS: &[&str] = &[
    // What they do.
    "crawl",
    "spider",
    "slurp",
    "+http",
    "scrap",
    "archiver",
    "archive.org",
    "fetcher",
    "scanner",
    "scanning",
    "/scan",
    "indexer",
    "checker",
    "linkcheck",
    "link check",
    "healthcheck",
    "health check",
    "health-check",
    "monitor",
    "uptime",
    "uptimia",
    "synthetic",
    "observatory",
    "diagnostics",
    "validator",
    "verifier",
    "verification",
    "analyzer",
    "thumbnail",
    "screenshot",
    "link preview",
    "linkpreview",
    "web preview",
    "page-preview",
    "imageproxy",
    "emailproxy",
    "mailproxy",
    "checkerproxy",
    "transcoder",
    "subscribers",
    "semantic",
    "productfinder",
    "inspector",
    "webhook",
    "securityheaders",
    "favicon",
    "research",
    "networkmeasurement",
    "web-measure",
    "web measure",
    "proxy)",
    "headless",
    "ghost inspector",
    // Search engines, social networks and assistants.
    "facebookexternal",
    "facebookcatalog",
    "meta-external",
    "meta-webindexer",
    "mediapartners",
    "google-",
    "googleother",
    "google favicon",
    "google search console",
    "google page speed",
    "google web",
    "googlesites",
    "googleassociation",
    "googleadsense",
    "googleagent",
    "-google",
    "apis-google",
    "feedfetcher",
    "feedburner",
    "yandeximages",
    "yandexmetrika",
    "daumoa",
    "daum 4",
    "yahoo link",
    "y!j",
    "yeti/",
    "ichiro",
    "teoma",
    "heritrix",
    "nutch",
    "embedly",
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
    "mistralai-user",
    "manus-user",
    "amzn-user",
    "devin/",
    "diffbot",
    "tineye",
    "bluesky",
    "hatena",
    "viberurl",
    // Monitors and tests of pages.
    "lighthouse",
    "ptst/",
    "pingdom",
    "statuscake",
    "gtmetrix",
    "site24x7",
    "newrelicpinger",
    "datadog",
    "zabbix",
    "nagios",
    "check_http",
    "munin",
    "collectd",
    "prometheus",
    "blackbox",
    "grafana",
    "kube-probe",
    "elb-healthchecker",
    "googlehc",
    "googleprober",
    "route 53",
    "route53",
    "azure-logic-apps",
    "cloudflare-",
    "cloudflare custom",
    "cloudflarediagnostics",
    "catchpoint",
    "thousandeyes",
    "dynatrace",
    "checkly",
    "dotcom-",
    "nodeping",
    "websitepulse",
    "prtg network",
    "iplabel",
    "dareboost",
    "rigor)",
    "functionize",
    "silktide",
    "hardenize",
    "siteimprove",
    "appinsights",
    "yottaa",
    "yunjiankong",
    "w3c_",
    "w3c-mobileok",
    "cookiehub",
    "criticalcss",
    "collapsify",
    "printfriendly",
    "miniature.io",
    "pageburst",
    "convertify",
    "optimizer",
    // Surveys of security.
    "expanse",
    "netsystemsresearch",
    "censys",
    "netcraft",
    "shodan",
    "zgrab",
    "masscan",
    "nmap",
    "nikto",
    "nessus",
    "openvas",
    "acunetix",
    "sqlmap",
    "gobuster",
    "wpscan",
    "detectify",
    "assetnote",
    "sucuri",
    "foregenix",
    "watchtowr",
    "inspici",
    "jndi:",
    "whatcms",
    "ips-agent",
    "pwabuilder",
    // Marketing.
    "brandverity",
    "datanyze",
    "adbeat",
    "infegy",
    "ubermetrics",
    "marketgoo",
    "dmbrowser",
    "taginspector",
    "megaindex",
    "xenu link",
    "screaming frog",
    "sitecheck",
    "linktiger",
    "outbrain",
    "bw/1.",
    "sitesucker",
    "webcapture",
    "contentscan",
    "bingpreview",
    "autoconfig test",
    "keycdn-tools",
    "testlocally",
    "hlb/1.",
    // Libraries and feed readers that run without a person.
    "httrack",
    "libwww",
    "libcurl/",
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
    "java/1",
    "java/2",
    "java-http-client",
    "jakarta commons",
    "httpclient",
    "reactornetty",
    "node-fetch",
    "undici",
    "axios/",
    "got (",
    "guzzle",
    "colly",
    "ruby",
    "faraday",
    "php/",
    "postmanruntime",
    "insomnia/",
    "httpie",
    "wordpress/",
    "magpierss",
    "simplepie",
    "feedly",
    "feedbin",
    "newsblur",
    "freshrss",
    "monitorss",
    "tiny tiny rss",
    "rss reader",
    "feedvalidator",
    "wrk/",
    "apachebench",
    "k6/",
    "jmeter",
    "vegeta",
    "phantomjs",
    "puppeteer",
    "playwright",
    "selenium",
];

/// Words of bots, if the agent names no system that a person would use.
const BOTS_ELSE: &[&str] = &[
    "http",
    "www.",
    ".com",
    ".net",
    ".org",
    ".io",
    ".ai",
    ".ru",
    ".de",
    ".eu",
    ".ch",
    ".fr",
    ".me",
    "@",
    "[at]",
    "(at)",
    "agent",
    "search",
    "seo",
    "rss",
    "feed",
    "url",
    "sitemap",
    "link",
    "recon",
    "ssl",
    "dcv",
    "cert",
    "audit",
    "survey",
    "probe",
    "prober",
    "proxy",
    "resolver",
    "detector",
    "collector",
    "extractor",
    "exractor",
    "retriever",
    "parser",
    "explorer",
    "engine",
    "worker",
    "lookup",
    "visitor",
    "discovery",
    "synthetics",
    "arachni",
    "blogtrottr",
    "browsershots",
    "gigablast",
    "pocketimagecache",
    "robozilla",
    "ahc/",
    "alittle",
    "l9explore",
    "l9tcpid",
    "kiwitcms",
    "zmeu",
    "ds9 ",
    "wordup",
    "xtate",
    "scooter/",
    "kendra",
    "blackboard",
    "sentinel",
    "spawning",
    "disqus/",
    "coccoc",
    "jetty/",
    "nextcloud-news",
    "captain-hook",
    "sendgrid",
    "zapier",
    "klaviyo",
    "integromat",
    "make/production",
    "whatweb",
    "vaultpress",
    "managewp",
    "uptrends",
    "upflow",
    "panopta",
    "lookout",
    "sectxt",
    "domains",
    "client",
    "leadradar",
    "httpmon",
    "webmon",
    "scan",
    "check",
    "preview",
    "index",
    "analyzer",
    "cloudflare",
    "yahoo",
    "google",
    "mozilla/5.0 (java)",
    "phpmyadmin",
    "matomo/",
    "sentry/",
    "larbin",
    "hello",
    "curl",
    "node.js",
    "newspaper/",
    "request-promise",
    "internal dummy connection",
    "webcopier",
    "sitesucker",
    "emailwolf",
    "github-camo",
    "copilot",
    "castopod",
    "podcast",
    "episode",
    "spotify/1.0",
    "useragent",
    "user agent",
    "user_agent",
];

/// Television sets, boxes, sticks and consoles.
const TVS: &[&str] = &[
    "smart-tv",
    "smarttv",
    "smart tv",
    "appletv",
    "apple tv",
    "tvos",
    "googletv",
    "google tv",
    "androidtv",
    "android tv",
    "andr0id",
    "webtv",
    "hbbtv",
    "hybridcast",
    "ce-html",
    "netcast",
    "web0s",
    "webos.tv",
    "webostv",
    "lg browser",
    "bravia",
    "sonydtv",
    "sonycebrowser",
    "viera",
    "aquosbrowser",
    "aquos-",
    "philipstv",
    "nettv",
    "toshibatv",
    "vizio",
    "inettvbrowser",
    "opera tv",
    " omi/",
    "roku",
    "crkey",
    "chromecast",
    "mitv",
    "mibox",
    "mi box",
    "firetv",
    "fire tv",
    "shield android",
    "dlnadoc",
    "espial",
    "ekioh",
    "large screen",
    "set-top",
    "settop",
    "stb;",
    " stb",
    "_stb",
    "stbapp",
    "tivo",
    "tivimate",
    "kreatv",
    "youviewhtml",
    "brightsign",
    "-device/",
    ", wired)",
    ",wired)",
    ", wireless)",
    ",wireless)",
    ";wired)",
    "sigmadesigns",
    "kylo/",
    "coolita",
    "sagemcom",
    "(astro;",
    "redlineclient",
    "_vlc/",
    ".bd.",
    "kepler/",
    "sky_ott",
    "playstation",
    "(ps2",
    "(ps3",
    "(ps4",
    "(ps5",
    "xbox",
    "nintendo",
    "steamdeck",
    "steam gameoverlay",
    "segasaturn",
    "dreamcast",
    "dreamkey",
    "dreampassport",
];

/// Tablets that name themselves.
const TABLETS: &[&str] = &[
    "ipad",
    "playbook",
    "kindle",
    "touchpad",
    "hp-tablet",
    "pocketbook",
    "echo_show",
    "/apad",
    "nook ",
];

/// Phones, whatever else the agent says.
const PHONES: &[&str] = &[
    "iphone",
    "windows phone",
    "wpdesktop",
    "; lumia",
    "opera mini",
    "opera mobi",
    "rim tablet",
    "dv(iph",
    "watchos",
    "watch os",
    "apple watch",
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
    "palm",
    "xiino",
    "webos",
    "hpwos",
    "brew ",
    "brew/",
    "rex;",
    "dalvik",
    "mobile",
    "elibom",
    "phone",
    "up.browser",
    "up/4.",
    "mmp/",
    "maui",
    "wap",
    "obigo",
    "docomo",
    "kddi-",
    "willcom",
    "jig browser",
    "polaris",
    "teleca",
    "au.browser",
    "mqqbrowser/mini",
    "fban/fb4a",
    "puffin/",
    "watch1,",
];

/// Computers, even if an app for phones runs on them.
const COMPUTERS: &[&str] = &["chromebook", "macbook", "imac", "macmini", "macpro"];

/// Desktop systems. They count if no other kind matches.
const DESKTOPS: &[&str] = &[
    "windows",
    "winnt",
    "win95",
    "win98",
    "win64",
    "(win7",
    "(win10",
    " win upd",
    "macintosh",
    "mac os",
    "macos",
    "os=mac",
    "osx",
    "mac_powerpc",
    "apple-darwin",
    "(x86_64)",
    "(i386)",
    "x11",
    "linux",
    "cros",
    "ubuntu",
    "bsd",
    "sunos",
    "os/2",
    "beos",
    "haiku",
    "amiga",
    "syllable",
    "inferno",
    "openvms",
    "cygwin",
    "suse",
    "msoffice",
    "ms-office",
    "(pc; openharmony",
    "2in1;",
];
