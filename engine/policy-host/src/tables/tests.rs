use std::sync::Arc;

use super::*;

fn csv(text: &str) -> Result<Table, TableError> {
    Table::parse(text.as_bytes(), TableFormat::Csv, TableKind::Keys)
}

fn json(text: &str) -> Result<Table, TableError> {
    Table::parse(text.as_bytes(), TableFormat::Json, TableKind::Keys)
}

fn networks(text: &str) -> Table {
    Table::parse(text.as_bytes(), TableFormat::Csv, TableKind::Networks).unwrap()
}

#[track_caller]
fn finds(table: &Table, text: &str, expected: Option<(&str, &str)>) {
    let row = table.longest_prefix(text);
    let found = row.as_ref().map(|row| (&*row.key, &*row.value));
    assert_eq!(found, expected, "{text}");
}

#[test]
fn two_columns_are_a_key_and_its_value() {
    let table = csv("\u{feff}sku-1,199.90\r\nsku-2,\"1,5\"\r\n\r\nñ,\"a \"\"b\"\"\r\nc\"\r\nlast,")
        .unwrap();
    assert_eq!(table.rows(), 4);
    for (key, value) in [
        ("sku-1", Some("199.90")),
        ("sku-2", Some("1,5")),
        ("ñ", Some("a \"b\"\r\nc")),
        ("last", Some("")),
        ("sku-", None),
        ("sku-11", None),
        ("", None),
        ("SKU-1", None),
    ] {
        assert_eq!(table.get(key).as_deref(), value, "{key}");
    }
    for header in ["key,value", "Key,price", "network,country"] {
        let table = csv(&format!("{header}\na,1\n")).unwrap();
        assert_eq!((table.rows(), table.get("a").as_deref()), (1, Some("1")));
    }
    assert_eq!(csv("sku,price\na,1\n").unwrap().rows(), 2);
}

#[test]
fn several_columns_are_an_object_by_their_names() {
    let table = csv("sku,price,\"in \"\"stock\"\"\"\na,1.50,yes\nb,\"2\n\"\"x\"\"\",\n").unwrap();
    assert_eq!(table.rows(), 2);
    assert_eq!(
        table.get("a").as_deref(),
        Some(r#"{"price":"1.50","in \"stock\"":"yes"}"#)
    );
    let value = table.get("b").unwrap();
    let value: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert_eq!(value["price"], "2\n\"x\"");
    assert_eq!(value["in \"stock\""], "");
}

#[test]
fn texts_of_json_are_values_and_other_values_are_their_json() {
    let table = json(
        " {\"a\": \"x\\u00e9\\\"\", \"b\":1.10 ,\n \"c\": [1, {\"d\": null}],\"\\u0065\": true}\n",
    )
    .unwrap();
    for (key, value) in [
        ("a", "xé\""),
        ("b", "1.10"),
        ("c", "[1, {\"d\": null}]"),
        ("e", "true"),
    ] {
        assert_eq!(table.get(key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(json("{}").unwrap().rows(), 0);
    assert_eq!(json("{ }").unwrap().get("a"), None);
    finds(&json("{}").unwrap(), "a", None);
}

#[test]
fn the_longest_key_that_a_text_begins_with_is_found() {
    let table =
        csv("/,all\n/shop,shop\n/shop/,below\n/shop/ñandú,bird\n/shoppers,other\n").unwrap();
    finds(&table, "/", Some(("/", "all")));
    finds(&table, "/sho", Some(("/", "all")));
    finds(&table, "/shop", Some(("/shop", "shop")));
    finds(&table, "/shop/ñ", Some(("/shop/", "below")));
    finds(&table, "/shop/ñandú/x", Some(("/shop/ñandú", "bird")));
    finds(&table, "/shoppers", Some(("/shoppers", "other")));
    finds(&table, "shop", None);
    finds(&table, "", None);
}

#[test]
fn the_smallest_network_that_contains_an_address_is_found() {
    let table = networks(
        "network,country\n0.0.0.0/0,any\n10.0.0.0/8,ten\n10.1.0.0/16,one\n10.1.2.3,host\n\
        10.1.2.128/25,half\n2001:db8::/32,doc\n2001:db8:8000::/33,upper\n::ffff:192.0.2.0/120,mapped\n",
    );
    assert_eq!(table.rows(), 8);
    for (address, row) in [
        ("10.1.2.3", Some(("10.1.2.3/32", "host"))),
        ("10.1.2.4", Some(("10.1.0.0/16", "one"))),
        ("10.1.2.127", Some(("10.1.0.0/16", "one"))),
        ("10.1.2.128", Some(("10.1.2.128/25", "half"))),
        ("10.1.2.255", Some(("10.1.2.128/25", "half"))),
        ("10.2.0.0", Some(("10.0.0.0/8", "ten"))),
        ("11.0.0.0", Some(("0.0.0.0/0", "any"))),
        ("10.1.0.0/16", Some(("10.1.0.0/16", "one"))),
        ("10.0.0.0/15", Some(("10.0.0.0/8", "ten"))),
        ("10.1.2.128/24", Some(("10.1.0.0/16", "one"))),
        ("::ffff:10.1.2.3", Some(("10.1.2.3/32", "host"))),
        ("192.0.2.7", Some(("192.0.2.0/24", "mapped"))),
        ("2001:db8::1", Some(("2001:db8::/32", "doc"))),
        ("2001:db8:8000::", Some(("2001:db8:8000::/33", "upper"))),
        ("2001:db9::1", None),
        ("::", None),
        ("10.1.2", None),
        ("example", None),
        ("", None),
    ] {
        finds(&table, address, row);
    }
    assert_eq!(table.get("10.0.0.0/8").as_deref(), Some("ten"));
    assert_eq!(table.get("10.1.2.3").as_deref(), Some("host"));
    assert_eq!(table.get("10.1.2.4"), None);
    assert_eq!(table.get("x"), None);
}

#[test]
fn a_bad_file_is_refused_with_its_line_and_a_cure() {
    let long_key = format!("a,1\n{},2\n", "k".repeat(MAX_TABLE_KEY_BYTES + 1));
    let long_value = format!("a,{}\n", "v".repeat(MAX_TABLE_VALUE_BYTES + 1));
    let wide = format!("k{}\n", ",c".repeat(MAX_TABLE_COLUMNS + 1));
    for (text, line, words) in [
        ("", None, "the file is empty"),
        ("\u{feff}", None, "the file is empty"),
        ("\n\n", None, "the file is empty"),
        ("a;1\nb;2\n", Some(1), "save the file with commas"),
        ("a\tb\n", Some(1), "a tab"),
        ("a\n", Some(1), "one column"),
        ("a,1\nb,2,3\n", Some(2), "this line has 3 columns"),
        ("a,1\r\nb\r\n", Some(2), "this line has 1 columns"),
        ("a,1\n\n\nb\n", Some(4), "this line has 1 columns"),
        (
            "a,1\r\n\r\nb,\"x\r\ny\"\r\nc",
            Some(5),
            "this line has 1 columns",
        ),
        ("a,1\rb,2\rc", Some(1), "this line has 1 columns"),
        ("k,x,y\na,1\n", Some(2), "the first line has 3"),
        ("k,x,x\n", Some(1), "comes twice"),
        ("k,x,\n", Some(1), "is empty"),
        (&wide, Some(1), "65 columns"),
        ("a,1\nb,2\na,3\n", Some(3), "stands in line 1 already"),
        ("a,\"1\nb,2\n", Some(1), "a quote is not closed"),
        ("a,1\nb,5\"\n", Some(2), "a quote is not closed"),
        ("a,1\n,2\n", Some(2), "the key is empty"),
        ("a,1\nb\0,2\n", Some(2), "control character"),
        ("a,1\nb,2\0\n", Some(2), "U+0000"),
        ("a,\u{1b}[31m\n", Some(1), "U+001B"),
        ("a,1\n b,2\n", Some(2), "space"),
        (&long_key, Some(2), "at most 1024 bytes"),
        (&long_value, Some(1), "at most 65536 bytes"),
    ] {
        let error = csv(text).expect_err(text);
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.to_string().contains(words), "{text:?}: {error}");
        assert!(error.to_string().len() < 300, "{error}");
    }
    for (text, line, words) in [
        ("", None, "the file is empty"),
        (" \n", None, "the file is empty"),
        ("[]", Some(1), "not an object"),
        ("{\n\"a\": 1,\n}", Some(3), "expected value"),
        ("{\"a\": 1\n\"b\": 2}", Some(2), "a comma"),
        ("{\"a\" 1}", Some(1), "a colon"),
        ("{\"a\": 1", Some(1), "a comma or the end"),
        ("{\"a\": [1,\n2", Some(2), "EOF"),
        ("{\"a\": ", Some(1), "ends within"),
        ("{\"a\": tru}", Some(1), "expected"),
        ("{\"a\": 1} x", Some(1), "something follows"),
        ("{\"a\": \"\\u0000\"}", Some(1), "U+0000"),
        ("{\"a\": 1,\n\"a\": 2}", Some(2), "stands in line 1 already"),
        ("{\"\": 1}", Some(1), "the key is empty"),
        ("{\"a\": \"\\ud800\"}", Some(1), ""),
    ] {
        let error = json(text).expect_err(text);
        assert!(error.to_string().contains(words), "{text:?}: {error}");
        assert_eq!(error.line, line, "{text:?}: {error}");
    }
    for (text, words) in [
        ("10.0.0.1/8,x\n", "write the network, \"10.0.0.0/8\""),
        ("10.0.0.0/33,x\n", "is not a network"),
        ("net,x\n", "is not a network"),
        ("10.0.0.0/8,x\n10.0.0.0/8,y\n", "stands in line 1 already"),
        (
            "10.0.0.0/8,x\n::ffff:10.0.0.0/104,y\n",
            "`10.0.0.0/8` stands",
        ),
    ] {
        let error = Table::parse(text.as_bytes(), TableFormat::Csv, TableKind::Networks);
        let error = error.expect_err(text).to_string();
        assert!(error.contains(words), "{text:?}: {error}");
    }
    for (content, words) in [
        (&b"\xff\xfea\0,\x001\0"[..], "the file is UTF-16"),
        (b"a,1\nb,\xe9\n", "line 2: this is not UTF-8"),
    ] {
        for format in TableFormat::ALL {
            let error = Table::parse(content, format, TableKind::Keys).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
    assert!(csv(&long_key.replace("kk", "k")).is_ok());
    assert!(csv(&long_value.replacen("v", "", 1)).is_ok());
}

/// Checks a large table against a map, row by row.
#[test]
fn every_row_of_a_large_table_is_found_and_it_is_at_most_twice_its_file() {
    use std::fmt::Write as _;
    const ROWS: u32 = 50_000;
    let mut text = String::new();
    for number in 0..ROWS {
        writeln!(text, "{number},{}", number % 7).unwrap();
    }
    let table = csv(&text).unwrap();
    for number in 0..ROWS {
        let value = table.get(&number.to_string());
        assert_eq!(value.as_deref(), Some(&*(number % 7).to_string()));
    }
    assert_eq!(table.get("50000"), None);
    assert!(
        table.bytes() <= 2 * text.len(),
        "{} of {}",
        table.bytes(),
        text.len()
    );
    let mut text = String::from("{");
    for number in 0..ROWS {
        let comma = if number == 0 { "" } else { "," };
        write!(text, "{comma}\"/p/{number:x}\":\"{number}\"").unwrap();
    }
    text.push('}');
    let table = json(&text).unwrap();
    finds(&table, "/p/c34f/z", Some(("/p/c34f", "49999")));
    assert!(table.bytes() <= 2 * text.len());
}

#[test]
fn a_version_never_comes_back() {
    let tables = TableSet::default();
    let slot = tables.slot("prices");
    assert_eq!((slot.version(), slot.table().is_none()), (0, true));
    assert!(tables.names().is_empty());
    let mut seen = Vec::new();
    for _ in 0..3 {
        tables.put("prices", Some(Arc::new(csv("a,1\n").unwrap())));
        assert!(slot.version() > 0 && !seen.contains(&slot.version()));
        assert_eq!(slot.table().unwrap().version(), slot.version());
        seen.push(slot.version());
    }
    assert_eq!(&*tables.names()[0], "prices");
    let snapshot = tables.snapshot(&["other", "prices"]);
    tables.put("prices", None);
    assert_eq!((slot.version(), slot.table().is_none()), (0, true));
    assert!(snapshot[0].is_none());
    assert_eq!(snapshot[1].as_ref().unwrap().get("a").as_deref(), Some("1"));
    assert!(Arc::ptr_eq(&slot, &tables.slot("prices")));
}

#[test]
fn tables_that_were_replaced_under_load_are_freed() {
    use std::sync::Weak;
    use std::sync::atomic::AtomicBool;

    let (tables, ended) = (TableSet::default(), AtomicBool::new(false));
    let mut replaced: Vec<Weak<Table>> = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let slot = tables.slot("prices");
                while !ended.load(Ordering::Relaxed) {
                    let version = slot.version();
                    let Some(table) = slot.table() else { continue };
                    assert!(
                        table.version() >= version,
                        "an older table than its version"
                    );
                    assert_eq!(table.get("a").as_deref(), Some("1"));
                }
            });
        }
        for _ in 0..1_000 {
            let table = Arc::new(csv("a,1\n").unwrap());
            replaced.push(Arc::downgrade(&table));
            tables.put("prices", Some(table));
        }
        ended.store(true, Ordering::Relaxed);
    });
    let left = replaced.iter().filter(|table| table.upgrade().is_some());
    assert_eq!(left.count(), 1);
}

#[test]
fn a_table_keeps_its_version_while_its_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    let trust = crate::trust::TrustedKeys::default();
    let entry = |keys: &str| {
        let text = format!(
            "[[site]]\nname = \"s\"\nhosts = [\"s.example\"]\norigins = [\"http://127.0.0.1:1\"]\n\
             [[table]]\nname = \"prices\"\nfile = {:?}\n{keys}\n",
            file.display().to_string()
        );
        let config = tero_config::Config::parse(&text, "tero.toml", folder.path());
        config.unwrap().tables.remove(0)
    };
    std::fs::write(&file, "10.0.0.0/8,1\n").unwrap();
    let first = TableData::read(&entry(""), 100, &trust, None).unwrap();
    let read = |keys: &str| TableData::read(&entry(keys), 100, &trust, Some(&first)).unwrap();
    assert_eq!(read("").table.version(), first.table.version());
    assert_ne!(
        read("kind = \"networks\"").table.version(),
        first.table.version()
    );
    std::fs::write(&file, "10.0.0.0/8,2\n").unwrap();
    assert_ne!(read("").table.version(), first.table.version());
    std::fs::write(&file, "x".repeat(101)).unwrap();
    let error = TableData::read(&entry(""), 100, &trust, None).unwrap_err();
    assert!(
        error.to_string().contains("larger than 100 bytes"),
        "{error}"
    );
    assert!(error.cure().contains("policies.max_table"));
}
