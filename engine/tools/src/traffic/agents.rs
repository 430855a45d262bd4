//! The software of visitors, with the names that real browsers and crawlers send.

/// The software of a visitor.
#[derive(Clone, Copy, Debug)]
pub struct SiteAgent {
    /// The value of `User-Agent`.
    pub name: &'static str,
    /// `Sec-CH-UA-Mobile` and `Sec-CH-UA-Platform`, if the browser sends them.
    pub hints: Option<(&'static str, &'static str)>,
    /// How many of [`AGENTS`]' visitors have it, in proportion.
    pub weight: u32,
    /// It is a phone.
    pub is_phone: bool,
    /// It is a crawler.
    pub is_crawler: bool,
}

/// Phones, desktops, tablets and crawlers.
pub const AGENTS: [SiteAgent; 12] = [
    phone(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
        Some(("?1", "\"Android\"")),
        34,
    ),
    phone(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
        None,
        8,
    ),
    phone(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
        None,
        18,
    ),
    phone(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 350.0.0.31.94",
        None,
        10,
    ),
    desktop(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        Some(("?0", "\"Windows\"")),
        12,
    ),
    desktop(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
        Some(("?0", "\"Windows\"")),
        4,
    ),
    desktop(
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        None,
        3,
    ),
    desktop(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
        None,
        3,
    ),
    desktop(
        "Mozilla/5.0 (iPad; CPU OS 16_7_10 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
        None,
        3,
    ),
    desktop(
        "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        None,
        2,
    ),
    crawler(
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        2,
    ),
    crawler(
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        1,
    ),
];

const fn phone(
    name: &'static str,
    hints: Option<(&'static str, &'static str)>,
    weight: u32,
) -> SiteAgent {
    SiteAgent {
        name,
        hints,
        weight,
        is_phone: true,
        is_crawler: false,
    }
}

/// A desktop or a tablet: people use it, as they do phones.
const fn desktop(
    name: &'static str,
    hints: Option<(&'static str, &'static str)>,
    weight: u32,
) -> SiteAgent {
    SiteAgent {
        is_phone: false,
        ..phone(name, hints, weight)
    }
}

const fn crawler(name: &'static str, weight: u32) -> SiteAgent {
    SiteAgent {
        is_crawler: true,
        ..desktop(name, None, weight)
    }
}
