//! Every kind of mistake, with its line, key and cure.

use super::*;

/// One mistake each: the text, then its line, its key, and a part of problem and cure. [`SITE`] comes
/// first (lines 1 to 4).
#[test]
fn each_mistake_has_its_line_key_and_cure() {
    let cases: &[(&str, usize, &str, &str, &str)] = &[
        (
            "[server]\nworker = 2",
            6,
            "server.worker",
            "unknown key",
            "did you mean `workers`?",
        ),
        (
            "[server]\nzzz = 2",
            6,
            "server.zzz",
            "unknown key",
            "the keys of [server] are listen, listener, workers",
        ),
        (
            "[sevrer]\n",
            5,
            "sevrer",
            "unknown section",
            "did you mean `server`?",
        ),
        (
            "[server]\nworkers = \"2\"",
            6,
            "server.workers",
            "a whole number was expected, this is a text",
            "write a whole number",
        ),
        (
            "[server]\nworkers = -1",
            6,
            "server.workers",
            "-1 is too small",
            "1 to 1,024",
        ),
        (
            "[server]\nworkers = 99999999999999999999",
            6,
            "server.workers",
            "too large",
            "1 to 1,024",
        ),
        (
            "[server]\nname = \"a b\"",
            6,
            "server.name",
            "is not a token",
            "without spaces",
        ),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
            6,
            "server.trusted_proxies",
            "not a network",
            "\"10.0.0.0/8\"",
        ),
        (
            "[server]\ntrusted_proxies = [\"10.1.2.3/8\"]",
            6,
            "server.trusted_proxies",
            "within a network",
            "\"10.0.0.0/8\"",
        ),
        (
            "[server]\ntrusted_proxies = [\"::1\", \"::1/128\"]",
            6,
            "server.trusted_proxies",
            "in the list already",
            "each once",
        ),
        (
            "[server]\ndrain = 30",
            6,
            "server.drain",
            "30 has no unit",
            "\"30s\"",
        ),
        (
            "[server]\ndrain = \"30\"",
            6,
            "server.drain",
            "`30` is not a duration",
            "\"5min\"",
        ),
        (
            "[server]\ndrain = \"1h\"",
            6,
            "server.drain",
            "1h is too large",
            "\"0s\" to \"10min\"",
        ),
        (
            "[server]\nlisten = []",
            6,
            "server.listen",
            "the list is empty",
            "at least one",
        ),
        (
            "[server]\nlisten = \"0.0.0.0:80\"",
            6,
            "server.listen",
            "a list",
            "[\"…\"]",
        ),
        (
            "[server]\nlisten = [\"localhost:80\"]",
            6,
            "server.listen",
            "is not an address",
            "\"127.0.0.1:80\"",
        ),
        (
            "[server]\nlisten = [\":80\"]",
            6,
            "server.listen",
            "is not an address",
            "\"0.0.0.0:80\"",
        ),
        (
            "[server]\nlisten = [\"1.2.3.4\"]",
            6,
            "server.listen",
            "is not an address",
            "\"1.2.3.4:8080\"",
        ),
        (
            "[server]\nlisten = [\"1.2.3.4:80\",\n \"1.2.3.4:80\"]",
            7,
            "server.listen",
            "in the list already",
            "each once",
        ),
        (
            "[[server.listener]]\ndual_stack = true",
            5,
            "server.listener.address",
            "`address` is missing",
            "ADDRESS:PORT",
        ),
        (
            "[[server.listener]]\naddress = \"0.0.0.0:80\"\ndual_stack = true",
            7,
            "server.listener.dual_stack",
            "addresses of one kind",
            "[::]",
        ),
        (
            "[server]\nlisten = [\"[::1]:80\"]\n[[server.listener]]\naddress = \"[::1]:80\"",
            8,
            "server.listener.address",
            "has [::1]:80 already",
            "each address",
        ),
        (
            "[server]\nlisten = [\"0.0.0.0:80\"]\n[[server.listener]]\naddress = \"[::]:80\"\ndual_stack = true",
            8,
            "server.listener.address",
            "has 0.0.0.0:80 already",
            "dual_stack takes IPv4 too",
        ),
        (
            "[[server.listener]]\naddress = \"0.0.0.0:0\"\n[[server.listener]]\naddress = \"0.0.0.0:0\"\n[admin]\nport = 1",
            10,
            "admin.port",
            "unknown key",
            "the keys of [admin]",
        ),
        (
            "[[server.listener]]\naddress = \"127.0.0.1:9091\"\n[admin]\nlisten = \"127.0.0.1:9091\"",
            8,
            "admin.listen",
            "the public listener's address too",
            "port of their own",
        ),
        (
            "[[server.listener]]\naddress = \"unix:/run/a\"\n[admin]\nlisten = \"unix:/run/a\"",
            8,
            "admin.listen",
            "the public listener's address too",
            "a path or a port of their own",
        ),
        (
            "[admin]\nlisten = \"unix:admin.sock\"",
            6,
            "admin.listen",
            "is not a socket to listen on",
            "write its whole path",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:9090\"",
            6,
            "admin.listen",
            "is not loopback",
            "token_file",
        ),
        (
            "[admin]\ntoken = \"short\"",
            6,
            "admin.token",
            "the token has 5 bytes",
            "16 to 4096",
        ),
        (
            "[admin]\ntoken = \"0123456789 abcdef\"",
            6,
            "admin.token",
            "spaces",
            "visible ASCII",
        ),
        (
            "[admin]\ntoken_file = \"secret\"",
            6,
            "admin.token_file",
            "can't be read",
            "readable",
        ),
        (
            "[server]\nlisten = [\"127.0.0.1:9090\"]",
            1,
            "admin.listen",
            "public listener's",
            "port of their own",
        ),
        (
            "[cache]\nmemory = 512",
            6,
            "cache.memory",
            "has no unit",
            "\"512B\"",
        ),
        (
            "[cache]\nmemory = \"512\"",
            6,
            "cache.memory",
            "is not a size",
            "\"64MiB\"",
        ),
        (
            "[cache]\nmemory = \"1KiB\"",
            6,
            "cache.memory",
            "too small",
            "\"1MiB\" to",
        ),
        (
            "[cache]\nmemory = \"10MiB\"\nmax_object = \"6MiB\"",
            7,
            "cache.max_object",
            "more than half",
            "at most 5MiB",
        ),
        (
            "[cache]\nmax_object = \"64MiB\"\nfill_memory = \"1MiB\"",
            7,
            "cache.fill_memory",
            "would not fit",
            "at least 64MiB",
        ),
        (
            "[cache]\nfill_memory = \"256MiB\"\nwarm_memory = \"256MiB\"",
            7,
            "cache.warm_memory",
            "leave nothing",
            "smaller",
        ),
        (
            "[access_log]\nformat = \"jsno\"",
            6,
            "access_log.format",
            "not known",
            "did you mean \"json\"?",
        ),
        (
            "[access_log]\nformat = \"json\"\nfields = [\"client\", \"user-agent\"]",
            7,
            "access_log.fields",
            "`user-agent` is not a field",
            "did you mean \"user_agent\"?",
        ),
        (
            "[access_log]\nformat = \"json\"\nfields = [\"zzz\"]",
            7,
            "access_log.fields",
            "`zzz` is not a field",
            "the fields are at, request_id",
        ),
        (
            "[access_log]\nformat = \"json\"\nfields = [\"at\", \"at\"]",
            7,
            "access_log.fields",
            "in the list already",
            "each once",
        ),
        (
            "[access_log]\nformat = \"json\"\nfields = []",
            7,
            "access_log.fields",
            "the list is empty",
            "name a field",
        ),
        (
            "[access_log]\nfields = [\"at\"]",
            6,
            "access_log.fields",
            "its own fields",
            "format = \"json\"",
        ),
        (
            "[[limit]]\nname = \"a\"\nrequests = 1\nper = \"1h\"\nburst = 25",
            9,
            "limit.burst",
            "more than 24 hours",
            "smaller",
        ),
        (
            "[[limit]]\nname = \"a\"\nrequests = 5\nfetch_cost = 6",
            8,
            "limit.fetch_cost",
            "more than the burst, 5",
            "burst larger",
        ),
        (
            "[[limit]]\nname = \"a\"\nrequests = 5\nsites = [\"shop\", \"zzz\"]",
            8,
            "limit.sites",
            "zzz",
            "",
        ),
        (
            "[[limit]]\nname = \"a\"\nrequests = 5\nmatch = [\"api\"]",
            8,
            "limit.match",
            "",
            "write a path",
        ),
        (
            "[[limit]]\nname = \"a\"\nrequests = 5\nmethods = [\"post\"]",
            8,
            "limit.methods",
            "in lower case",
            "POST",
        ),
        (
            "[[limit]]\nname = \"a\"\nrequests = 5\nwindow = \"8-18\"",
            8,
            "limit.window",
            "not a span of hours",
            "08:00-18:00",
        ),
        (
            "[[limit]]\nname = \"a\"\nrequests = 0",
            7,
            "limit.requests",
            "",
            "",
        ),
        (
            "[access_log]\nclient_address = \"short\"",
            6,
            "access_log.client_address",
            "not known",
            "did you mean \"shortened\"?",
        ),
        (
            "[[policy]]\nmodule = \"builtin:x\"",
            5,
            "policy.name",
            "`name` is missing",
            "write `name`",
        ),
        (
            "[[policy]]\nname = \"Big\"\nmodule = \"builtin:x\"",
            6,
            "policy.name",
            "is not a name",
            "a-z",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"gone.wasm\"",
            7,
            "policy.module",
            "there is no file /nowhere/gone.wasm",
            "builtin:NAME",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\nsettings = 1",
            8,
            "policy.settings",
            "a table",
            "[policy.settings]",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\nsettings_file = \"x\"",
            8,
            "policy.settings_file",
            "can't be read",
            "readable",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\ncalendar = \"builtin:mars\"",
            8,
            "policy.calendar",
            "there is no calendar",
            "argentina",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\n[policy.limits]\ndeadline = \"1h\"",
            9,
            "policy.limits.deadline",
            "too large",
            "\"10s\"",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\n[policy.limits]\ndeadlin = \"1s\"",
            9,
            "policy.limits.deadlin",
            "unknown key",
            "`deadline`",
        ),
        (
            "[policy]\nname = \"a\"\nmodule = \"builtin:x\"",
            5,
            "policy",
            "a list of tables",
            "[[policy]]",
        ),
        (
            "policies = [\"hours\"]",
            5,
            "site.policies",
            "there is no policy `hours`",
            "add [[policy]]",
        ),
        (
            "policies = [\"a\"]\n[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\n[[policy]]\nname = \"a\"\nmodule = \"builtin:y\"",
            10,
            "policy.name",
            "line 7 too",
            "own name",
        ),
        (
            "policy_may_override = [\"cookies\"]",
            5,
            "site.policy_may_override",
            "not known",
            "set-cookie",
        ),
        (
            "zone = \"Buenos Aires\"",
            5,
            "site.zone",
            "is not a zone",
            "did you mean \"America/Argentina/Buenos_Aires\"?",
        ),
        (
            "zone = \"America/Argentina/Buenos_Aries\"",
            5,
            "site.zone",
            "is not a zone",
            "did you mean \"America/Argentina/Buenos_Aires\"?",
        ),
        (
            "zone = \"-03:00\"",
            5,
            "site.zone",
            "is not a zone",
            "Etc/GMT+3",
        ),
        (
            "host_header = \"a b\"",
            5,
            "site.host_header",
            "is not a host",
            "HOST:PORT",
        ),
        (
            "cache_status_key = 1",
            5,
            "site.cache_status_key",
            "true or false was expected",
            "true or false",
        ),
        (
            "targeted_fields = [\"a b\"]",
            5,
            "site.targeted_fields",
            "is not a field name",
            "cdn-cache-control",
        ),
        (
            "stale_if_error = \"2y\"",
            5,
            "site.stale_if_error",
            "2y is too large",
            "\"1y\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"Shop.Example\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "named in line 3",
            "once",
        ),
        (
            "[[site]]\nname = \"shop\"\nhosts = [\"b\"]\norigins = [\"http://a\"]",
            6,
            "site.name",
            "line 2 too",
            "own name",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = []\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "empty",
            "[\"*\"]",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = []",
            8,
            "site.origins",
            "empty",
            "at least one",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b:80\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "has the port 80",
            "\"b\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b:443\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "has the port 443",
            "\"b\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b:65536\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "not a host",
            "www.example.org:8443",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a\"]\nforward_fields = [\"X-Real-IP\"]",
            9,
            "site.forward_fields",
            "never forwarded",
            "leave it out",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a\"]\nforward_fields = [\"*\"]",
            9,
            "site.forward_fields",
            "not a field name",
            "x-app-*",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a\"]\nunderscores = \"keep\"",
            9,
            "site.underscores",
            "keep",
            "pass",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"*.b:8080\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "has a port",
            "\"*.b\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"https://a/x\"]",
            8,
            "site.origins",
            "an origin has no path",
            "\"https://a\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"unix:app.sock\"]",
            8,
            "site.origins",
            "no such socket",
            "the whole path",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]",
            5,
            "site.origins",
            "`origins` is missing",
            "[[site.origin]]",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigin = [\"http://a\"]",
            8,
            "site.origin",
            "a table was expected",
            "[[site.origin]]",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a\"]\n[[site.origin]]\nurl = \"http://b\"",
            8,
            "site.origins",
            "both `origin` and `origins`",
            "one of the two",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\n[[site.origin]]\nurl = \"http://b\"\npins = [\"sha256/AA\"]",
            10,
            "site.origin.pins",
            "not a pin",
            "openssl",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\n[[site.origin]]\nurl = \"http://b\"\ntls_name = \"c\"",
            10,
            "site.origin.tls_name",
            "nothing without TLS",
            "https",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\n[[site.origin]]\nurl = \"http://b\"\nhttp2 = \"negotiate\"",
            10,
            "site.origin.http2",
            "nothing is negotiated",
            "prior-knowledge",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\n[[site.origin]]\nurl = \"http://b\"\n[[site.origin]]\nurl = \"http://b\"",
            10,
            "site.origin.name",
            "two origins with the name b",
            "a name of its own",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\n[[site.origin]]\nurl = \"http://b\"\ncolour = \"red\"",
            10,
            "site.origin.colour",
            "unknown key",
            "the keys of [[site.origin]]",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"a:3000\"]",
            8,
            "site.origins",
            "is not an origin",
            "\"http://a:3000\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a/x\"]",
            8,
            "site.origins",
            "no path",
            "\"http://a\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a:0\"]",
            8,
            "site.origins",
            "is not an origin",
            "1 to 65535",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://u:p@a\"]",
            8,
            "site.origins",
            "no user",
            "HOST:PORT",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shpo\"",
            7,
            "warm.site",
            "there is no site `shpo`",
            "did you mean \"shop\"?",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nschedule = \"0 30 8 * * *\"",
            8,
            "warm.schedule",
            "this one has 6",
            "five fields",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nschedule = \"61 8 * * *\"",
            8,
            "warm.schedule",
            "is not a schedule: the minute `61` has `61`",
            "write 0 to 59",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nurls = [\"http://shop/x\"]",
            8,
            "warm.urls",
            "is not a path",
            "\"/x\"",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nurls = [\"/é\"]",
            8,
            "warm.urls",
            "can't carry",
            "percent-encoded",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nvariants = [\"Mobile\"]",
            8,
            "warm.variants",
            "is not a variant",
            "a-z",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nrate = 0",
            8,
            "warm.rate",
            "0 is too small",
            "0.1 to 10000",
        ),
        ("x = ", 5, "", "", "TOML"),
    ];
    for (written, line, key, problem, cure) in cases {
        let found = mistakes(&format!("{SITE}{written}\n"));
        assert_eq!(found.len(), 1, "{written}: {found:#?}");
        let mistake = &found[0];
        assert_eq!(
            (mistake.line, mistake.key.as_str()),
            (*line, *key),
            "{written}: {mistake}"
        );
        assert!(mistake.problem.contains(problem), "{written}: {mistake}");
        assert!(mistake.cure.contains(cure), "{written}: {mistake}");
    }
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let text = r#"
[server]
listen = ["here"]
workers = 0
drain = "soon"
colour = "red"
[cache]
memory = "huge"
[[site]]
name = "Shop"
hosts = ["shop.example:80"]
origins = ["app"]
policies = ["none"]
[[warm]]
name = "w"
site = "Shop"
schedule = "daily"
"#;
    let lines: Vec<usize> = mistakes(text).iter().map(|mistake| mistake.line).collect();
    // `Shop` is not a name, and the plan that refers to it repeats the mistake.
    assert_eq!(lines, [3, 4, 5, 6, 8, 10, 11, 12, 13, 16, 17]);
}

#[test]
fn one_field_is_not_written_in_two_ways() {
    let policy = "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\n";
    for (keys, key) in [
        (
            "[admin]\ntoken = \"0123456789abcdef\"\ntoken_file = \"x\"\n",
            "admin.token_file",
        ),
        (
            "settings = {}\nsettings_file = \"x\"\n",
            "policy.settings_file",
        ),
    ] {
        let text = match keys.strip_prefix("[admin]") {
            Some(_) => format!("{SITE}{keys}"),
            None => format!("{SITE}{policy}{keys}"),
        };
        let found = mistakes(&text);
        let is_both =
            |mistake: &ConfigError| mistake.key == key && mistake.problem.contains("both");
        assert!(found.iter().any(is_both), "{keys}: {found:#?}");
    }
}
