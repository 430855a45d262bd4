//! Damaged files never make the loader panic.

use super::*;

proptest::proptest! {
    #[test]
    fn a_damaged_file_is_read_or_refused_without_panic(at in 0..REFERENCE.len(), length in 0_usize..40, put in "[\\\\\"'{}\\[\\],=#\na-z0-9é\u{0}-]{0,4}") {
        let floor = |mut at: usize| {
            while !REFERENCE.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(at), floor((at + length).min(REFERENCE.len())));
        let damaged = format!("{}{put}{}", &REFERENCE[..start], &REFERENCE[end..]);
        if let Err(errors) = parse(&damaged) {
            proptest::prop_assert!(!errors.errors.is_empty());
            proptest::prop_assert!(errors.errors.iter().all(|error| error.line >= 1 && error.column >= 1 && !error.cure.is_empty()));
        }
    }
}

/// A good file with a bit of everything, to be damaged.
const REFERENCE: &str = r#"# é
[server]
listen = ["127.0.0.1:8080"]
workers = 4
drain = "30s"
[[server.listener]]
address = "[::]:8081"
dual_stack = true
tls = { certificates = [{ cert = "a.pem", key = "a.key" }], client_ca = "ca.pem" }
[[server.listener]]
address = "127.0.0.1:8443"
tls = { acme = true, certificates = [{ cert = "a.pem", key = "a.key" }] }
[acme]
terms_agreed = true
contact = ["mailto:ops@example.com"]
[policies]
state_dir = "state"
[admin]
tls = { certificates = [{ cert = "a.pem", key = "a.key" }] }
token = "0123456789abcdef"
[cache]
memory = "512MiB"
[[policy]]
name = "hours"
module = "builtin:business-hours"
settings = { zone = "UTC", n = 1.5, at = 07:30:00, x = [true, """a
b"""] }
[policy.limits]
deadline = "5ms"
[[site]]
name = "shop"
hosts = ["shop.example", "*"]
origins = ["http://127.0.0.1:3000"]
policies = ["hours"]
[[warm]]
name = "opening"
site = "shop"
schedule = "30 8 * * MON-SAT"
rate = 0.5
"#;

#[test]
fn the_reference_is_good() {
    parse(REFERENCE).unwrap_or_else(|errors| panic!("{errors}"));
}
