//! Traces of requests, made from a seed: what people and crawlers ask a site for.

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceRequest {
    /// The number of the page.
    pub(crate) page: u64,
    /// The bytes of its content.
    pub(crate) bytes: u32,
    /// Whether a crawler sent it.
    pub(crate) is_crawler: bool,
}

/// A trace and its name.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) requests: Vec<TraceRequest>,
}

/// Numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.share() * bound as f64) as usize
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The bytes of a page's content: log-normal, median 12 KiB, from 1 to 512 KiB.
fn bytes(page: u64) -> u32 {
    let uniform = |salt: u64| (mix(page ^ salt) >> 11) as f64 / (1_u64 << 53) as f64;
    let normal = (-2.0 * uniform(1 << 60).max(1e-12).ln()).sqrt()
        * (std::f64::consts::TAU * uniform(1 << 61)).cos();
    (12_288.0 * normal.exp()).clamp(1_024.0, 524_288.0) as u32
}

/// Ranks from 0, by Zipf's law.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: usize, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Zipf(sums.collect())
    }

    fn rank(&self, numbers: &mut Numbers) -> usize {
        let place = numbers.share() * self.0[self.0.len() - 1];
        self.0
            .partition_point(|sum| *sum <= place)
            .min(self.0.len() - 1)
    }
}

/// What a site is asked for.
struct Site {
    /// The share of all requests that crawlers send.
    crawlers: f64,
    /// The share of people's requests that is for new pages.
    news: f64,
}

/// The pages that stay.
const PAGES: usize = 8_000;
/// The new pages that are requested at any time.
const NEW_PAGES: usize = 200;

fn site(name: &'static str, site: &Site) -> Trace {
    let mut numbers = Numbers(7);
    let (popular, recent) = (Zipf::new(PAGES, 0.85), Zipf::new(NEW_PAGES, 0.9));
    let (mut published, mut walked) = (NEW_PAGES, 0);
    let requests = (0..LENGTH).map(|number| {
        // A page is published with every 25th request.
        if site.news > 0.0 && number % 25 == 0 {
            published += 1;
        }
        let news = |age: usize| (1 << 40) + (published - age) as u64;
        let (page, is_crawler) = if numbers.share() < site.crawlers {
            // Crawlers go through all pages, and the newest in between.
            walked += 1;
            let is_news = site.news > 0.0 && walked % 5 == 0;
            let page = match is_news {
                true => news(numbers.below(NEW_PAGES)),
                false => mix((walked % PAGES) as u64) % PAGES as u64,
            };
            (page, true)
        } else if numbers.share() < site.news {
            (news(recent.rank(&mut numbers)), false)
        } else {
            (popular.rank(&mut numbers) as u64, false)
        };
        TraceRequest {
            page,
            bytes: bytes(page),
            is_crawler,
        }
    });
    Trace {
        name,
        requests: requests.collect(),
    }
}

const HOTELS: usize = 1_600;

/// A booking site in a few languages: hotels, searches whose dates move on with the days, assets.
fn booking() -> Trace {
    let mut numbers = Numbers(11);
    let (hotels, towns, days) = (
        Zipf::new(HOTELS, 0.9),
        Zipf::new(120, 1.0),
        Zipf::new(90, 0.7),
    );
    let requests = (0..LENGTH).map(|number| {
        let today = number / 12_000;
        let language = [0_usize, 0, 0, 0, 0, 0, 1, 1, 1, 2][numbers.below(10)];
        let what = numbers.share();
        let is_crawler = numbers.share() < 0.1;
        let page = if is_crawler {
            (1 << 40) + numbers.below(HOTELS) * 8 + language
        } else if what < 0.15 {
            (2 << 40) + numbers.below(40)
        } else if what < 0.55 {
            (1 << 40) + hotels.rank(&mut numbers) * 8 + language
        } else {
            let (town, day) = (towns.rank(&mut numbers), today + days.rank(&mut numbers));
            (3 << 40) + ((town * 1_000 + day) * 8 + language) * 8 + numbers.below(2)
        };
        let page = page as u64;
        TraceRequest {
            page,
            bytes: bytes(page),
            is_crawler,
        }
    });
    Trace {
        name: "booking traffic",
        requests: requests.collect(),
    }
}

/// The requests of each trace.
pub(crate) const LENGTH: usize = 120_000;

/// All traces.
pub(crate) fn all() -> Vec<Trace> {
    let of = |name, crawlers, news| site(name, &Site { crawlers, news });
    vec![
        of("steady Zipf", 0.0, 0.0),
        of("30 % crawlers", 0.3, 0.0),
        of("a third on new pages", 0.0, 1.0 / 3.0),
        of("new pages and crawlers", 0.3, 1.0 / 3.0),
        booking(),
    ]
}
