//! Device classes remembered: the same user agent with the same hints is classified once.

use http::HeaderMap;
use moka::sync::Cache;

use crate::semantics::decision::Device;
use crate::semantics::device::{DeviceFields, MAX_PLATFORM_BYTES, MAX_USER_AGENT_BYTES, class_of};

/// What an entry costs beyond its key: its node, its place in the table and in the queues.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// Two bytes for the hints, then the platform, then the user agent.
const MAX_KEY_BYTES: usize = 2 + MAX_PLATFORM_BYTES + MAX_USER_AGENT_BYTES;

/// The classes of the devices that came by lately. Shared by all workers.
#[derive(Debug)]
pub struct Devices {
    remembered: Cache<Box<[u8]>, Device, foldhash::quality::RandomState>,
}

impl Devices {
    /// Remembers as many as fit into `max_bytes`, those that come again before those that come once.
    pub fn new(max_bytes: u64) -> Devices {
        #[allow(clippy::borrowed_box)] // It is what moka hands over.
        let remembered = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &Box<[u8]>, _: &Device| u32::try_from(key.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX))
            .build_with_hasher(foldhash::quality::RandomState::default());
        Devices { remembered }
    }

    /// The class of the device that sent these request fields, as `semantics::device::classify` says.
    pub fn classify(&self, headers: &HeaderMap) -> Device {
        let fields = DeviceFields::of(headers);
        let mut buffer = [0_u8; MAX_KEY_BYTES];
        let key = write_key(&mut buffer, &fields);
        if let Some(device) = self.remembered.get(key) {
            return device;
        }
        let device = class_of(fields);
        self.remembered.insert(key.into(), device);
        device
    }
}

/// Unlike fields have unlike keys: the platform's length stands before it.
fn write_key<'b>(buffer: &'b mut [u8; MAX_KEY_BYTES], fields: &DeviceFields<'_>) -> &'b [u8] {
    let platform_end = 2 + fields.platform.len();
    let end = platform_end + fields.user_agent.len();
    buffer[0] = match fields.mobile {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    };
    buffer[1] = u8::try_from(fields.platform.len()).expect("a platform is cut to 32 bytes");
    buffer[2..platform_end].copy_from_slice(fields.platform);
    buffer[platform_end..end].copy_from_slice(fields.user_agent);
    &buffer[..end]
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::semantics::device::classify;

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
            for (mobile, platform) in
                [("?1", "\"Android\""), ("?0", "\"Android\""), ("?0", "\"Windows\""), ("x", "\"\""), ("?0", "Window\"s")]
            {
                let headers = headers(user_agent, mobile, platform);
                for _ in 0..2 {
                    assert_eq!(devices.classify(&headers), classify(&headers), "{headers:?}");
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded_whatever_clients_send() {
        let devices = Devices::new(64 * 1024);
        for number in 0..20_000 {
            devices.classify(&headers(format!("agent {number} {}", "x".repeat(500)).as_bytes(), "?0", "\"Linux\""));
        }
        devices.remembered.run_pending_tasks();
        assert!(devices.remembered.weighted_size() <= 64 * 1024);
    }
}
