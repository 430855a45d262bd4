//! What two tiers of tero tell each other: an edge tells a shield the variant that it has decided and
//! who asks, and the shield tells the edge what its answer's own fields can't say.
//!
//! `Tero-Variant` has the variant, as any origin gets it. `Tero-Tier` is a dictionary (RFC 8941 §3.2)
//! in both directions; members that are not known are ignored. Who may send the fields, and who gets
//! them, is decided where requests are let in.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::cache_control::dictionary;
use super::operator_floor::LifetimeBound;

/// `Tero-Tier`.
pub const TERO_TIER: HeaderName = HeaderName::from_static("tero-tier");

/// `Tero-Variant`: the variant that the policies decided.
pub const TERO_VARIANT: HeaderName = HeaderName::from_static("tero-variant");

/// Bytes of the name of one variant.
const MAX_NAME_BYTES: usize = 32;

/// Bytes of all variants of a request, joined with `+`.
const MAX_VARIANT_BYTES: usize = 1_024;

/// The request's member for a plan.
const PLAN: &str = "plan";
/// The request's member for a request to a shield.
const SHIELD: &str = "shield";
/// The request's member for the digest.
const KEY: &str = "key";
/// The request's member for one that passes.
const PASS: &str = "pass";
/// The request's member for the operator's bound, and its parameter for the stale windows.
const AT_MOST: &str = "at-most";
const AT_MOST_STALE: &str = "stale";
/// Digits of a digest.
const KEY_DIGITS: usize = 64;
/// The response's member for the seconds since it is stale.
const STALE: &str = "stale";
/// The response's member for what must not be stored.
const STORE: &str = "store";

/// The request's member for a number in the log of purges.
const PURGES: &str = "purges";
/// Digits of the identity of a log.
const LOG_DIGITS: usize = 16;

/// A number in the log of purges that a fleet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeNumber {
    /// The identity of the log. Numbers of different logs say nothing of each other.
    pub log: u64,
    /// The number.
    pub number: u64,
}

impl PurgeNumber {
    /// Whether what this number stands for has been done by one who is at `own`.
    pub fn is_reached_by(self, own: Option<PurgeNumber>) -> bool {
        own.is_some_and(|own| own.log == self.log && own.number >= self.number)
    }

    /// Reads it as it is written: the log in 16 hexadecimal digits, a slash, the number.
    fn parse(text: &str) -> Option<PurgeNumber> {
        let (log, number) = text.split_once('/')?;
        let is_log = log.len() == LOG_DIGITS
            && log
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        Some(PurgeNumber {
            log: u64::from_str_radix(log, 16).ok().filter(|_| is_log)?,
            number: number.parse().ok().filter(|_| is_number)?,
        })
    }

    fn member(self) -> String {
        format!("{PURGES}=\"{:016x}/{}\"", self.log, self.number)
    }
}

/// What an edge tells of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierRequest {
    /// The variant that it has decided; `None` if there is none.
    pub variant: Option<Arc<str>>,
    /// Whether a warming plan asks.
    pub is_plan: bool,
    /// A digest of what else its decision makes the response depend on: 64 hexadecimal digits. `None`
    /// if there is nothing.
    pub key: Option<Box<str>>,
    /// How far in the log of purges the edge is: the answer must not be from before.
    pub purges: Option<PurgeNumber>,
    /// Whether the next hop is asked as the shield of the URL: it asks the origins itself.
    pub to_shield: bool,
    /// Whether the request passes: it is neither looked up nor stored.
    pub passes: bool,
    /// How long the response may be used at most, as the operator says of the URL that the client has
    /// asked for.
    pub at_most: Option<LifetimeBound>,
}

/// The fields of an edge are malformed: its decision is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierFault;

impl TierRequest {
    /// What the fields of a request say.
    ///
    /// # Errors
    /// [`TierFault`]: a guess would store an answer under the wrong variant.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue};
    /// use tero_semantics::tier::{TERO_TIER, TERO_VARIANT, TierRequest};
    ///
    /// let mut request = HeaderMap::new();
    /// assert_eq!(TierRequest::of(&request), Ok(TierRequest::default()));
    /// request.insert(TERO_VARIANT, HeaderValue::from_static("mobile+es"));
    /// request.insert(TERO_TIER, HeaderValue::from_static("plan"));
    /// let told = TierRequest::of(&request).unwrap();
    /// assert_eq!((told.variant.as_deref(), told.is_plan), (Some("mobile+es"), true));
    /// request.insert(TERO_VARIANT, HeaderValue::from_static("mobile, es"));
    /// assert!(TierRequest::of(&request).is_err());
    /// ```
    pub fn of(headers: &HeaderMap) -> Result<TierRequest, TierFault> {
        let variant = match single(headers, &TERO_VARIANT)? {
            None => None,
            Some(text) if is_variant(text) => Some(text.into()),
            Some(_) => return Err(TierFault),
        };
        let none = TierRequest {
            variant,
            ..TierRequest::default()
        };
        if !headers.contains_key(TERO_TIER) {
            return Ok(none);
        }
        let members = dictionary(headers, &TERO_TIER).ok_or(TierFault)?;
        let purges = match members.get(PURGES) {
            None => None,
            Some(_) => Some(purges_of(&members).ok_or(TierFault)?),
        };
        Ok(TierRequest {
            is_plan: flag(&members, PLAN).ok_or(TierFault)?,
            key: key_of(&members)?,
            purges,
            to_shield: flag(&members, SHIELD).ok_or(TierFault)?,
            passes: flag(&members, PASS).ok_or(TierFault)?,
            at_most: at_most_of(&members)?,
            ..none
        })
    }

    /// Sets the fields of a request. A variant that is none is left out.
    pub fn set(&self, headers: &mut HeaderMap) {
        let variant = self.variant.as_deref().map(HeaderValue::try_from);
        if let Some(Ok(variant)) = variant {
            headers.insert(TERO_VARIANT, variant);
        }
        if let Some(flag) = self.single_flag() {
            headers.insert(TERO_TIER, HeaderValue::from_static(flag));
            return;
        }
        let flags = [
            (self.is_plan, PLAN),
            (self.to_shield, SHIELD),
            (self.passes, PASS),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        let flags = flags.map(|(_, name)| (*name).to_owned());
        let key = self.key.as_ref().map(|key| format!("{KEY}=\"{key}\""));
        let purges = self.purges.map(PurgeNumber::member);
        let at_most = self.at_most.map(at_most_member);
        let members: Vec<String> = flags.chain(key).chain(purges).chain(at_most).collect();
        let told = match members.is_empty() {
            true => return,
            false => HeaderValue::try_from(members.join(", ")),
        };
        if let Ok(told) = told {
            headers.insert(TERO_TIER, told);
        }
    }

    /// The flag that is all there is to tell beside the variant.
    fn single_flag(&self) -> Option<&'static str> {
        let has_more = self.key.is_some() || self.purges.is_some() || self.at_most.is_some();
        match (self.is_plan, self.to_shield, self.passes) {
            _ if has_more => None,
            (true, false, false) => Some(PLAN),
            (false, true, false) => Some(SHIELD),
            (false, false, true) => Some(PASS),
            _ => None,
        }
    }
}

/// Whom a shield refuses to store an answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierRefusal {
    /// Everybody: the next answers are not storable either.
    ForAll,
    /// Those who send what this request has, such as cookies.
    ForRequest,
}

impl TierRefusal {
    fn as_str(self) -> &'static str {
        match self {
            TierRefusal::ForAll => "never",
            TierRefusal::ForRequest => "not-this",
        }
    }
}

/// What a shield tells of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierResponse {
    /// How long it has been stale, in whole seconds; `None` if it was not served stale.
    pub stale: Option<Duration>,
    /// Whether it must not be stored.
    pub refusal: Option<TierRefusal>,
}

impl TierResponse {
    /// What the fields of a response say. A malformed field says nothing (RFC 8941 §4.2).
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::{HeaderMap, HeaderValue};
    /// use tero_semantics::tier::{TERO_TIER, TierRefusal, TierResponse};
    ///
    /// let of = |value| TierResponse::of(&HeaderMap::from_iter([(TERO_TIER, HeaderValue::from_static(value))]));
    /// assert_eq!(of("stale=30").stale, Some(Duration::from_secs(30)));
    /// assert_eq!(of("store=never, new=1").refusal, Some(TierRefusal::ForAll));
    /// assert_eq!(of("stale=-1, store=maybe"), TierResponse::default());
    /// assert_eq!(of("stale=30, ;"), TierResponse::default());
    /// ```
    pub fn of(headers: &HeaderMap) -> TierResponse {
        if !headers.contains_key(TERO_TIER) {
            return TierResponse::default();
        }
        let Some(members) = dictionary(headers, &TERO_TIER) else {
            return TierResponse::default();
        };
        let stale = item(&members, STALE).and_then(|item| item.as_integer());
        let stale = stale.and_then(|secs| u32::try_from(i64::from(secs)).ok());
        let refusal = item(&members, STORE).and_then(|item| item.as_token());
        TierResponse {
            stale: stale.map(|secs| Duration::from_secs(secs.into())),
            refusal: refusal.and_then(|token| {
                [TierRefusal::ForAll, TierRefusal::ForRequest]
                    .into_iter()
                    .find(|refusal| refusal.as_str() == token.as_str())
            }),
        }
    }

    /// Sets the field of a response, or removes it if there is nothing to tell.
    pub fn set(self, headers: &mut HeaderMap) {
        let stale = self.stale.map(|stale| {
            let secs = u32::try_from(stale.as_secs()).unwrap_or(u32::MAX);
            format!("{STALE}={secs}")
        });
        let refusal = self
            .refusal
            .map(|refusal| format!("{STORE}={}", refusal.as_str()));
        let members: Vec<String> = stale.into_iter().chain(refusal).collect();
        match HeaderValue::try_from(members.join(", ")) {
            Ok(value) if !members.is_empty() => headers.insert(TERO_TIER, value),
            _ => headers.remove(TERO_TIER),
        };
    }
}

/// Whether this is a variant, or several joined with `+`.
fn is_variant(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=MAX_NAME_BYTES).contains(&name.len())
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    text.len() <= MAX_VARIANT_BYTES && text.split('+').all(is_name)
}

/// The text of a field that comes once; `None` if it is absent.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, TierFault> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => line.to_str().map(Some).map_err(|_| TierFault),
        _ => Err(TierFault),
    }
}

fn item<'m>(members: &'m sfv::Dictionary, name: &str) -> Option<&'m sfv::BareItem> {
    match members.get(name)? {
        sfv::ListEntry::Item(item) => Some(&item.bare_item),
        sfv::ListEntry::InnerList(_) => None,
    }
}

/// The number in the log of purges.
fn purges_of(members: &sfv::Dictionary) -> Option<PurgeNumber> {
    PurgeNumber::parse(item(members, PURGES)?.as_string()?.as_str())
}

/// The operator's bound that a request tells.
fn at_most_of(members: &sfv::Dictionary) -> Result<Option<LifetimeBound>, TierFault> {
    let bound = match members.get(AT_MOST) {
        None => return Ok(None),
        Some(sfv::ListEntry::Item(item)) => item,
        Some(sfv::ListEntry::InnerList(_)) => return Err(TierFault),
    };
    let secs = |item: Option<&sfv::BareItem>| {
        let secs = item.and_then(|item| item.as_integer());
        let secs = secs.and_then(|secs| u32::try_from(i64::from(secs)).ok());
        secs.map(|secs| Duration::from_secs(secs.into()))
    };
    let bound = LifetimeBound {
        ttl: secs(Some(&bound.bare_item)).ok_or(TierFault)?,
        stale: secs(bound.params.get(AT_MOST_STALE)).ok_or(TierFault)?,
    };
    Ok(Some(bound))
}

fn at_most_member(bound: LifetimeBound) -> String {
    let secs = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let (ttl, stale) = (secs(bound.ttl), secs(bound.stale));
    format!("{AT_MOST}={ttl};{AT_MOST_STALE}={stale}")
}

/// The digest that a request tells.
fn key_of(members: &sfv::Dictionary) -> Result<Option<Box<str>>, TierFault> {
    if members.get(KEY).is_none() {
        return Ok(None);
    }
    let key = item(members, KEY).and_then(|item| item.as_string());
    let key = key.map(|key| key.as_str()).ok_or(TierFault)?;
    let is_digest = key.len() == KEY_DIGITS
        && key
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match is_digest {
        true => Ok(Some(key.into())),
        false => Err(TierFault),
    }
}

/// Whether a member is there and true; `None` if it is of another type.
fn flag(members: &sfv::Dictionary, name: &str) -> Option<bool> {
    match members.get(name) {
        None => Some(false),
        Some(_) => item(members, name)?.as_boolean(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::headers;
    use super::*;

    #[test]
    fn what_is_set_is_read_back() {
        let bound = LifetimeBound {
            ttl: Duration::from_secs(60),
            stale: Duration::ZERO,
        };
        for flags in 0..32_u8 {
            let is = |bit: u8| flags & bit != 0;
            for variant in [None, Some("mobile"), Some("a-1+b_2")] {
                let told = TierRequest {
                    variant: variant.map(Into::into),
                    is_plan: is(1),
                    to_shield: is(2),
                    passes: is(4),
                    key: is(8).then(|| ("0af".repeat(21) + "9").into()),
                    purges: is(8).then_some(PurgeNumber {
                        log: 0xab,
                        number: u64::MAX,
                    }),
                    at_most: is(16).then_some(bound),
                };
                let mut request = HeaderMap::new();
                told.set(&mut request);
                assert_eq!(TierRequest::of(&request), Ok(told));
            }
        }
        for stale in [None, Some(0), Some(u32::MAX)] {
            for refusal in [
                None,
                Some(TierRefusal::ForAll),
                Some(TierRefusal::ForRequest),
            ] {
                let told = TierResponse {
                    stale: stale.map(|secs| Duration::from_secs(secs.into())),
                    refusal,
                };
                let mut response = headers(&[("tero-tier", "of another hop")]);
                told.set(&mut response);
                assert_eq!(TierResponse::of(&response), told);
            }
        }
    }

    #[test]
    fn a_variant_has_the_form_of_one() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let many = ["abcdefghijklmno"; 80].join("+");
        for bad in [
            "", "+", "a+", "a b", "A", "a\tb", "a,b", "\u{e9}", &long, &many,
        ] {
            let request = headers(&[("tero-variant", bad)]);
            assert_eq!(TierRequest::of(&request), Err(TierFault), "{bad}");
        }
        let twice = headers(&[("tero-variant", "a"), ("tero-variant", "a")]);
        assert_eq!(TierRequest::of(&twice), Err(TierFault));
        let longest = "x".repeat(MAX_NAME_BYTES);
        assert!(TierRequest::of(&headers(&[("tero-variant", &longest)])).is_ok());
    }

    #[test]
    fn a_malformed_request_is_not_guessed_at() {
        for bad in [
            "",
            "plan, ;",
            "plan=1",
            "shield=1",
            "pass=1",
            "at-most",
            "at-most=60",
            "at-most=60;stale",
            "at-most=60;stale=-1",
            "at-most=-1;stale=0",
            "at-most=4294967296;stale=0",
            "at-most=(60);stale=0",
            "plan=(1 2)",
            "Plan",
            "plan=?2",
            "\"plan\"",
            "key=\"\"",
            "purges",
            "purges=7",
            "purges=\"7\"",
            "purges=\"00000000000000ab\"",
            "purges=\"00000000000000ab/\"",
            "purges=\"00000000000000ab/+1\"",
            "purges=\"00000000000000AB/1\"",
            "purges=\"ab/1\"",
            "purges=\"00000000000000ab/18446744073709551616\"",
            "key=abc",
            "key=\"0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF0AF9\"",
            "key=\"00000000000000000000000000000000000000000000000000000000000000000\"",
        ] {
            let request = headers(&[("tero-tier", bad)]);
            assert_eq!(TierRequest::of(&request), Err(TierFault), "{bad}");
        }
        for (line, is_plan) in [
            ("plan=?0", false),
            ("later=7", false),
            ("plan;x=1, y", true),
        ] {
            let told = TierRequest::of(&headers(&[("tero-tier", line)]));
            assert_eq!(told.map(|told| told.is_plan), Ok(is_plan), "{line}");
        }
    }

    #[test]
    fn a_number_is_reached_in_its_own_log_alone() {
        let at = |log, number| PurgeNumber { log, number };
        assert!(at(1, 5).is_reached_by(Some(at(1, 5))));
        assert!(!at(1, 5).is_reached_by(Some(at(1, 4))));
        assert!(!at(1, 5).is_reached_by(Some(at(2, 9))));
        assert!(!at(1, 5).is_reached_by(None));
    }

    #[test]
    fn nonsense_in_a_response_says_nothing() {
        for bad in [
            "",
            "stale",
            "stale=x",
            "stale=1.5",
            "stale=-1",
            "stale=4294967296",
            "stale=(1)",
            "store",
            "store=\"never\"",
            "store=Never",
            "stale=1 store=never",
        ] {
            let response = headers(&[("tero-tier", bad)]);
            assert_eq!(
                TierResponse::of(&response),
                TierResponse::default(),
                "{bad}"
            );
        }
    }
}
