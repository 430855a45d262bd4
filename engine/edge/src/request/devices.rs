//! Device classes remembered: the same user agent with the same hints is classified once.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};

use moka::sync::Cache;

use tero_policy_host::device::Device;
use tero_policy_host::device::{DeviceFields, class_of};

/// What an entry costs beyond its key: its node, its place in the table and in the queues.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// What each thread keeps at hand of the remembered classes: most requests of a moment come from
/// few kinds of browsers, and a look into memory of one's own costs half of one into memory that is
/// shared. At most 137 KiB a thread.
const AT_HAND: usize = 128;

thread_local! {
    // A class depends on the key alone, so it does not matter which `Devices` it came from.
    static FRONT: RefCell<FrontCache> = RefCell::new(FrontCache::new());
}

struct FrontCache {
    hasher: foldhash::fast::RandomState,
    slots: Box<[Option<(Box<[u8]>, Device)>]>,
}

impl FrontCache {
    fn new() -> FrontCache {
        FrontCache {
            hasher: foldhash::fast::RandomState::default(),
            slots: (0..AT_HAND).map(|_| None).collect(),
        }
    }

    /// The class for these fields, from here or from where `find` has it with its key.
    fn class(
        &mut self,
        fields: &DeviceFields<'_>,
        find: impl FnOnce() -> (Box<[u8]>, Device),
    ) -> Device {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(fields.user_agent);
        hasher.write(fields.platform);
        hasher.write_u8(written(fields.mobile));
        let slot = usize::try_from(hasher.finish() % AT_HAND as u64).unwrap_or(0);
        match &self.slots[slot] {
            Some((known, device)) if is_key_of(known, fields) => *device,
            _ => {
                let found = find();
                let device = found.1;
                self.slots[slot] = Some(found);
                device
            }
        }
    }
}

/// The classes of the devices that came by lately. Shared by all workers.
#[derive(Debug)]
pub struct Devices {
    remembered: Cache<Box<[u8]>, Device, foldhash::quality::RandomState>,
}

impl Devices {
    /// Remembers as many as fit into `max_bytes`, those that come again before those that come
    /// once.
    pub fn new(max_bytes: u64) -> Devices {
        #[allow(clippy::borrowed_box)] // It is what moka hands over.
        let remembered = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &Box<[u8]>, _: &Device| {
                u32::try_from(key.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
            })
            .build_with_hasher(foldhash::quality::RandomState::default());
        Devices { remembered }
    }

    /// The class of the device that sent these request fields, as `semantics::device::class_of`
    /// says.
    pub fn class_of(&self, fields: DeviceFields<'_>) -> Device {
        FRONT.with_borrow_mut(|front| front.class(&fields, || self.recall(fields)))
    }

    fn recall(&self, fields: DeviceFields<'_>) -> (Box<[u8]>, Device) {
        let key = key_of(&fields);
        if let Some(device) = self.remembered.get(&key) {
            return (key, device);
        }
        let device = class_of(fields);
        self.remembered.insert(key.clone(), device);
        (key, device)
    }
}

/// Two bytes for the hints, then the platform, then the user agent. Unlike fields have unlike keys:
/// the platform's length stands before it.
fn key_of(fields: &DeviceFields<'_>) -> Box<[u8]> {
    let platform_length =
        u8::try_from(fields.platform.len()).expect("a platform is cut to 32 bytes");
    [
        &[written(fields.mobile), platform_length],
        fields.platform,
        fields.user_agent,
    ]
    .concat()
    .into()
}

fn is_key_of(key: &[u8], fields: &DeviceFields<'_>) -> bool {
    key.len() == 2 + fields.platform.len() + fields.user_agent.len()
        && key.ends_with(fields.user_agent)
        && key[0] == written(fields.mobile)
        && usize::from(key[1]) == fields.platform.len()
        && key[2..].starts_with(fields.platform)
}

fn written(mobile: Option<bool>) -> u8 {
    match mobile {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use tero_policy_host::device::{MAX_USER_AGENT_BYTES, classify};

    fn headers(user_agent: &[u8], mobile: &'static str, platform: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_bytes(user_agent).unwrap());
        headers.insert("sec-ch-ua-mobile", HeaderValue::from_static(mobile));
        headers.insert("sec-ch-ua-platform", HeaderValue::from_static(platform));
        headers
    }

    #[test]
    fn a_remembered_class_is_the_one_that_was_found() {
        let devices = Devices::new(1024 * 1024);
        let long = [b'x'; 3 * MAX_USER_AGENT_BYTES];
        for user_agent in [b"iPhone".as_slice(), b"Windows", b"", b"\xff\xfe", &long] {
            for (mobile, platform) in [
                ("?1", "\"Android\""),
                ("?0", "\"Android\""),
                ("?0", "\"Windows\""),
                ("x", "\"\""),
                ("?0", "Window\"s"),
            ] {
                let headers = headers(user_agent, mobile, platform);
                for _ in 0..2 {
                    assert_eq!(
                        devices.class_of(DeviceFields::of(&headers)),
                        classify(&headers),
                        "{headers:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded_whatever_clients_send() {
        let devices = Devices::new(64 * 1024);
        for number in 0..20_000 {
            let agent = format!("agent {number} {}", "x".repeat(500));
            devices.class_of(DeviceFields {
                user_agent: agent.as_bytes(),
                mobile: Some(false),
                platform: b"Linux",
            });
        }
        devices.remembered.run_pending_tasks();
        assert!(devices.remembered.weighted_size() <= 64 * 1024);
    }
}
