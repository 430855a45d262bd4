use super::*;

/// What follows a header. None of it may be read with the header.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A header of version 2 with these bytes for version and command, family and protocol.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

fn extension(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// IPv4 addresses of `PROXY`.
const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 80];

/// Reads a header from the bytes of a connection, which come in pieces of `size`. Returns what it
/// says and how many bytes it has.
fn read(bytes: &[u8], size: usize) -> Result<(ProxiedPeer, usize), ProxyHeaderRefusal> {
    let mut taken = 0;
    loop {
        match step(&bytes[..taken])? {
            ReadingStep::Complete => return Ok((parse(&bytes[..taken])?, taken)),
            ReadingStep::Wants(wanted) => {
                assert!(wanted > 0, "{taken} bytes");
                let came = wanted.min(size).min(bytes.len() - taken);
                if came == 0 {
                    return Err(ProxyHeaderRefusal::CutShort);
                }
                taken += came;
            }
        }
    }
}

#[track_caller]
fn assert_source(header: &[u8], source: Option<&str>) {
    let bytes = [header, REQUEST].concat();
    for size in [1, 2, 7, 13, 5000] {
        let (told, taken) = read(&bytes, size).unwrap();
        assert_eq!(taken, header.len(), "pieces of {size}");
        assert_eq!(told.source, source.map(|text| text.parse().unwrap()));
    }
}

#[test]
fn nothing_behind_a_header_is_read() {
    for (header, source) in [
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Some("1.1.1.1")),
        (
            "PROXY TCP4 192.0.2.255 192.0.2.254 65535 65534\r\n",
            Some("192.0.2.255"),
        ),
        ("PROXY TCP6 ::1 :: 0 0\r\n", Some("::1")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Some("192.0.2.1")),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", None),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            None,
        ),
    ] {
        assert_source(header.as_bytes(), source);
    }
    let ipv6 = [
        &[0x20, 1, 0xd, 0xb8][..],
        &[0; 11],
        &[7],
        &[0; 16],
        &[0, 1, 0, 80],
    ]
    .concat();
    let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 7], &[0; 16], &[0; 4]].concat();
    for (header, source) in [
        (v2(0x21, 0x11, &IPV4), Some("192.0.2.7")),
        (v2(0x21, 0x12, &IPV4), Some("192.0.2.7")),
        (v2(0x21, 0x21, &ipv6), Some("2001:db8::7")),
        (v2(0x21, 0x21, &mapped), Some("192.0.2.7")),
        (
            v2(0x21, 0x11, &[&IPV4[..], &extension(4, b"filler")].concat()),
            Some("192.0.2.7"),
        ),
        // The proxy itself, and peers without an address.
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, &IPV4), None),
        (v2(0x21, 0x00, b""), None),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
    ] {
        assert_source(&header, source);
    }
}

#[test]
fn what_is_no_header_is_refused() {
    use ProxyHeaderRefusal::{CutShort, Malformed, Missing, TooLong};
    let long_line = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
    let with = |rest: &[u8]| v2(0x21, 0x11, &[&IPV4[..], rest].concat());
    for (bytes, why) in [
        (REQUEST.to_vec(), Missing),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".to_vec(),
            Missing,
        ),
        (b"PROXY/ HTTP/1.1\r\n\r\n".to_vec(), Missing),
        (b"\r\n\r\n\0\r\nQUIT!".to_vec(), Missing),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 02\r\n".to_vec(), Malformed),
        (
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n".to_vec(),
            Malformed,
        ),
        (b"PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 ::1 ::2 1 2\r\n    ".to_vec(), Malformed),
        (b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n".to_vec(), Malformed),
        (b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n".to_vec(), Malformed),
        (b"PROXY UNKNOWN \xff\r\n".to_vec(), Malformed),
        (long_line, TooLong),
        (b"PROXY TCP4 1.1.1.1".to_vec(), CutShort),
        // Another version, an unknown command, family or protocol, addresses cut short.
        (v2(0x11, 0x11, &IPV4), Malformed),
        (v2(0x22, 0x11, &IPV4), Malformed),
        (v2(0x21, 0x41, &IPV4), Malformed),
        (v2(0x21, 0x13, &IPV4), Malformed),
        (v2(0x21, 0x11, &IPV4[..11]), Malformed),
        (v2(0x21, 0x11, &IPV4)[..27].to_vec(), CutShort),
        // Extensions: too short for one, longer than the rest, and TLS without its flags.
        (with(&[4, 0]), Malformed),
        (with(&[4, 0, 9, 1]), Malformed),
        (with(&extension(0x20, &[1, 0, 0, 0])), Malformed),
        (
            with(&extension(0x20, &[1, 0, 0, 0, 0, 0x21, 0, 9])),
            Malformed,
        ),
    ] {
        for size in [1, 5, 5000] {
            assert_eq!(
                read(&bytes, size),
                Err(why),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn the_length_of_version_2_is_bounded() {
    let filled = |whole: usize| {
        let filler = vec![0; whole - V2_HEAD - IPV4.len() - 3];
        v2(0x21, 0x11, &[&IPV4[..], &extension(4, &filler)].concat())
    };
    assert_eq!(
        read(&filled(MAX_BYTES), 5000).map(|(_, taken)| taken),
        Ok(MAX_BYTES)
    );
    let refused = read(&filled(MAX_BYTES + 1), 5000);
    assert_eq!(refused, Err(ProxyHeaderRefusal::TooLong));
}

#[test]
fn tls_and_the_name_are_told() {
    let tls = |flags: u8| {
        let parts = [
            &[flags, 0, 0, 0, 0][..],
            &extension(0x21, b"TLSv1.3"),
            &extension(0x22, b"someone"),
            &extension(0x23, b"TLS_AES_256_GCM_SHA384"),
        ];
        extension(0x20, &parts.concat())
    };
    let header =
        |extensions: &[Vec<u8>]| v2(0x21, 0x11, &[&IPV4[..], &extensions.concat()].concat());
    let told = parse(&header(&[extension(2, b"shop.example"), tls(1)])).unwrap();
    let facts = told.tls.unwrap();
    assert!(told.speaks_tls);
    assert_eq!(facts.version.as_deref(), Some("TLSv1.3"));
    assert_eq!(facts.cipher.as_deref(), Some("TLS_AES_256_GCM_SHA384"));
    assert_eq!(facts.server_name.as_deref(), Some("shop.example"));
    assert!(!parse(&header(&[tls(0)])).unwrap().speaks_tls);
    assert!(!parse(&header(&[tls(6)])).unwrap().speaks_tls);
    // What can't stand in a line of a log is left out, as is what is too long.
    for bad in [&b"a b"[..], b"a\nb", b"\xff", b"", &[b'a'; 256]] {
        assert_eq!(parse(&header(&[extension(2, bad)])).unwrap().tls, None);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_alike_in_any_pieces(
        beginning in 0..3_usize,
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
        size in 1..40_usize,
    ) {
        let beginnings: [&[u8]; 3] = [b"", SIGNATURE, b"PROXY TCP4 "];
        let bytes = [beginnings[beginning], &bytes].concat();
        let whole = read(&bytes, usize::MAX);
        proptest::prop_assert_eq!(read(&bytes, size), whole);
    }

    #[test]
    fn a_written_header_tells_its_source(source: std::net::IpAddr, port: u16, is_binary: bool) {
        use std::net::{IpAddr, SocketAddr};
        let target: SocketAddr = match source {
            IpAddr::V4(_) => "10.0.0.1:80".parse().unwrap(),
            IpAddr::V6(_) => "[::1]:80".parse().unwrap(),
        };
        let header = if is_binary {
            let addresses = (SocketAddr::new(source, port), target);
            let command = v2::Version::Two | v2::Command::Proxy;
            v2::Builder::with_addresses(command, v2::Protocol::Stream, addresses).build().unwrap()
        } else {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {source} {} {port} 80\r\n", target.ip()).into_bytes()
        };
        let (told, taken) = read(&[&header, REQUEST].concat(), 11).unwrap();
        proptest::prop_assert_eq!(told.source, Some(source.to_canonical()));
        proptest::prop_assert_eq!(taken, header.len());
    }
}
