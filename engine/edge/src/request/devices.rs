//! Device classes remembered: the same user agent with the same hints is classified once.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};

use moka::sync::Cache;

use tero_policy_host::device::Device;
use tero_policy_host::device::{DeviceFields, DeviceModels, class_of};

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
        models: u32,
        find: impl FnOnce() -> (Box<[u8]>, Device),
    ) -> Device {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(fields.user_agent);
        hasher.write(fields.platform);
        hasher.write(&[hints(fields), viewer(fields)]);
        let slot = usize::try_from(hasher.finish() % AT_HAND as u64).unwrap_or(0);
        match &self.slots[slot] {
            Some((known, device)) if is_key_of(known, fields, models) => *device,
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

    /// The class that [`class_of`] gives to a request with these fields.
    pub fn class_of(&self, fields: DeviceFields<'_>, models: &DeviceModels) -> Device {
        FRONT.with_borrow_mut(|front| {
            front.class(&fields, models.number(), || self.recall(fields, models))
        })
    }

    fn recall(&self, fields: DeviceFields<'_>, models: &DeviceModels) -> (Box<[u8]>, Device) {
        let key = key_of(&fields, models.number());
        if let Some(device) = self.remembered.get(&key) {
            return (key, device);
        }
        let device = class_of(fields, models);
        self.remembered.insert(key.clone(), device);
        (key, device)
    }
}

/// The bytes of a key before the platform and the user agent.
const KEY_HEAD_BYTES: usize = 7;

/// The number of the models, two bytes for the hints and the length of the platform, so that
/// different fields have different keys; then the platform and the user agent.
fn key_of(fields: &DeviceFields<'_>, models: u32) -> Box<[u8]> {
    let head = key_head(fields, models);
    [&head, fields.platform, fields.user_agent].concat().into()
}

fn is_key_of(key: &[u8], fields: &DeviceFields<'_>, models: u32) -> bool {
    key.len() == KEY_HEAD_BYTES + fields.platform.len() + fields.user_agent.len()
        && key.ends_with(fields.user_agent)
        && key.starts_with(&key_head(fields, models))
        && key[KEY_HEAD_BYTES..].starts_with(fields.platform)
}

fn key_head(fields: &DeviceFields<'_>, models: u32) -> [u8; KEY_HEAD_BYTES] {
    let [a, b, c, d] = models.to_le_bytes();
    let platform_length =
        u8::try_from(fields.platform.len()).expect("a platform is cut to 32 bytes");
    [a, b, c, d, hints(fields), viewer(fields), platform_length]
}

/// `Sec-CH-UA-Mobile` and the form factor in one byte.
fn hints(fields: &DeviceFields<'_>) -> u8 {
    let mobile = match fields.mobile {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    };
    3 * written(fields.form_factor) + mobile
}

fn viewer(fields: &DeviceFields<'_>) -> u8 {
    written(fields.viewer)
}

fn written(device: Option<Device>) -> u8 {
    device.map_or(0, |device| device as u8 + 1)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use tero_policy_host::device::{MAX_USER_AGENT_BYTES, classify};

    fn shipped() -> &'static DeviceModels {
        DeviceModels::shipped()
    }

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
                        devices.class_of(DeviceFields::of(&headers), shipped()),
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
            let fields = DeviceFields {
                user_agent: agent.as_bytes(),
                mobile: Some(false),
                platform: b"Linux",
                ..DeviceFields::default()
            };
            devices.class_of(fields, shipped());
        }
        devices.remembered.run_pending_tasks();
        assert!(devices.remembered.weighted_size() <= 64 * 1024);
    }

    #[test]
    fn other_hints_and_other_models_are_other_keys() {
        let devices = Devices::new(1024 * 1024);
        let plain = DeviceFields {
            user_agent: b"Mozilla/5.0 (Linux; Android 13; SM-X810) Chrome/126.0.0.0",
            ..DeviceFields::default()
        };
        let phone = DeviceFields {
            form_factor: Some(Device::Mobile),
            ..plain
        };
        let cloudfront = DeviceFields {
            user_agent: b"Amazon CloudFront",
            ..plain
        };
        let viewer = DeviceFields {
            viewer: Some(Device::Tv),
            ..cloudfront
        };
        let own = DeviceModels::parse("tv SM-X8").unwrap();
        for _ in 0..2 {
            assert_eq!(devices.class_of(plain, shipped()), Device::Tablet);
            assert_eq!(devices.class_of(phone, shipped()), Device::Mobile);
            assert_eq!(devices.class_of(plain, &own), Device::Tv);
            assert_eq!(devices.class_of(cloudfront, shipped()), Device::Unknown);
            assert_eq!(devices.class_of(viewer, shipped()), Device::Tv);
        }
    }
}
