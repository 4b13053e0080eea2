use serde_json::Value;

use crate::{
    config::{Config, Level},
    error::ConfigError,
    read::parse,
};

const EXAMPLE: &str = include_str!("../../examples/wayside.toml");

fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_sources(None, owned)
}

/// Reads `text` as `w.toml` and expects exactly this error.
fn refuses(text: &str, expected: &str) {
    let error = parse("w.toml", text).expect_err(expected).to_string();
    assert_eq!(error, expected);
    let through_sources = Config::from_sources(Some(("w.toml", text)), [])
        .expect_err(expected)
        .to_string();
    assert_eq!(through_sources, expected);
}

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(parse("wayside.toml", EXAMPLE).expect("example"), Config::default());
    assert_eq!(parse("empty.toml", "").expect("empty"), Config::default());
}

#[test]
fn the_example_names_every_key_with_its_commented_values_valid() {
    let assignment = |line: &str| line.strip_prefix("# ").is_some_and(|rest| rest.contains(" = \""));
    let uncommented = |line: &str| {
        if assignment(line) {
            line[2..].to_owned()
        } else {
            line.to_owned()
        }
    };
    // The ways to say who the node is exclude each other; so do the two ways to name origins, and to give a password.
    let excluded = ["# token =", "# invitation_file =", "# url =", "# password ="];
    let lines = EXAMPLE
        .lines()
        .filter(|line| !excluded.iter().any(|start| line.starts_with(start)));
    let text = lines.map(uncommented).collect::<Vec<_>>().join("\n");
    // Whoever logs in somewhere says where.
    let text = text.replace("urls = []", "urls = [\"redis://10.0.0.5:6379\"]");
    let config = parse("wayside.toml", &text).expect("example with everything set");
    let schema = Config::schema();
    let printed = serde_json::to_value(&config).expect("JSON");
    for (section, keys) in printed.as_object().expect("sections") {
        let declared = schema["$defs"][capitalised(section)]["properties"]
            .as_object()
            .expect("section");
        for key in declared.keys() {
            let is_named = keys.get(key).is_some_and(|value| !value.is_null())
                || ["token", "invitation", "invitation_file", "url", "password"].contains(&key.as_str());
            assert!(is_named, "the example does not name {section}.{key}");
        }
    }
}

fn capitalised(word: &str) -> String {
    word.split('_')
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}

#[test]
fn a_typo_is_named_with_its_place_and_what_was_meant() {
    refuses(
        "# first line\n[edge]\nlisen = \"127.0.0.1:1\"\n",
        "w.toml:3:1: unknown field `lisen`, expected one of `listen`, `threads`, `trusted_proxies`, `region`, `pop`, \
         `demo_country`, `data` (did you mean `listen`?)",
    );
    refuses(
        "[egde]\n",
        "w.toml:1:2: unknown field `egde`, expected one of `edge`, `admin`, `origin`, `upstream`, `geo`, `policy`, \
         `cache`, `shared_cache`, `streams`, `degradation`, `log` (did you mean `edge`?)",
    );
    refuses(
        "[log]\nformat = \"jsn\"",
        "w.toml:2:10: unknown variant `jsn`, expected one of `auto`, `pretty`, `json` (did you mean `json`?)",
    );
}

#[test]
fn a_value_of_the_wrong_type_or_out_of_range_is_named() {
    refuses(
        "[edge]\nthreads = \"four\"",
        "w.toml:2:11: invalid type: string \"four\", expected a whole number from 0 to 1024",
    );
    refuses(
        "[cache]\nmemory_mib = 0",
        "w.toml:2:14: invalid value: integer `0`, expected a whole number from 1 to 1048576",
    );
    refuses(
        "[cache]\nttl_s = -1",
        "w.toml:2:9: invalid value: integer `-1`, expected a whole number from 1 to 86400",
    );
    refuses(
        "[edge]\nlisten = \"localhost\"",
        "w.toml:2:10: invalid value: string \"localhost\", expected an IP address and a port, such as \
         `127.0.0.1:8080` or `[::]:8080`",
    );
    refuses(
        "[edge]\ntrusted_proxies = [\"10.0.0.0/8\",\n  \"10.0.0.1/8\"]",
        "w.toml:3:3: invalid value: string \"10.0.0.1/8\", expected a network such as `10.0.0.0/8` or \
         `2001:db8::/32`, with nothing but zeros after the prefix",
    );
    refuses(
        "[upstream]\nurl = \"127.0.0.1:7070\"",
        "w.toml:2:7: invalid value: string \"127.0.0.1:7070\", expected a URL such as \
         `https://origin.example:7070`: `http` or `https`, with nothing after the port",
    );
    refuses(
        "[geo]\ncity = \"\"",
        "w.toml:2:8: invalid value: string \"\", expected a path",
    );
}

#[test]
fn what_is_no_toml_is_named() {
    let error = parse("w.toml", "[edge]\nlisten = \n")
        .expect_err("no value")
        .to_string();
    assert!(error.starts_with("w.toml:2:10: "), "{error}");
    let error = parse("w.toml", "[edge\n").expect_err("no section").to_string();
    assert!(error.starts_with("w.toml:1:6: "), "{error}");
    let error = parse("w.toml", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n")
        .expect_err("twice")
        .to_string();
    assert!(error.starts_with("w.toml:3:1: duplicate key"), "{error}");
}

#[test]
fn variables_override_the_file() {
    let variables = [
        ("WAYSIDE__EDGE__LISTEN", "[::1]:0"),
        ("WAYSIDE__EDGE__THREADS", "3"),
        ("WAYSIDE__EDGE__DEMO_COUNTRY", "true"),
        ("WAYSIDE__EDGE__TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32"),
        ("WAYSIDE__UPSTREAM__TOKEN", "123"),
        ("WAYSIDE_TOKEN", "somebody else's"),
        ("PATH", "/bin"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let file = "[edge]\nlisten = \"127.0.0.1:1\"\nregion = \"eu\"";
    let config = Config::from_sources(Some(("w.toml", file)), variables).expect("configuration");
    assert_eq!(config.edge.listen.0.to_string(), "[::1]:0");
    assert_eq!(config.edge.region.as_str(), "eu");
    assert_eq!((config.edge.threads.get(), config.edge.demo_country), (3, true));
    assert_eq!(config.edge.trusted_proxies.0.len(), 2);
    assert_eq!(config.upstream.token.as_ref().map(|token| token.reveal()), Some("123"));
    assert_eq!(
        with(&[("WAYSIDE__EDGE__TRUSTED_PROXIES", "")])
            .expect("none")
            .edge
            .trusted_proxies
            .0,
        []
    );
}

#[test]
fn a_bad_variable_is_named() {
    for (name, value, expected) in [
        (
            "WAYSIDE__EDGE__LISEN",
            "127.0.0.1:1",
            "unknown field `lisen`, expected one of `listen`, ",
        ),
        (
            "WAYSIDE__EGDE__LISTEN",
            "127.0.0.1:1",
            "unknown field `egde`, expected one of `edge`, ",
        ),
        (
            "WAYSIDE__EDGE",
            "1",
            "unknown name, expected one such as WAYSIDE__EDGE__LISTEN",
        ),
        (
            "WAYSIDE__EDGE__",
            "1",
            "unknown name, expected one such as WAYSIDE__EDGE__LISTEN",
        ),
        (
            "WAYSIDE__edge__LISTEN",
            "1",
            "unknown name, expected one such as WAYSIDE__EDGE__LISTEN",
        ),
        (
            "WAYSIDE__EDGE__LISTEN",
            "8080",
            "invalid type: integer `8080`, expected an IP address and a port",
        ),
        (
            "WAYSIDE__EDGE__THREADS",
            "four",
            "invalid type: string \"four\", expected a whole number from 0 to 1024",
        ),
        (
            "WAYSIDE__EDGE__THREADS",
            "5000",
            "invalid value: integer `5000`, expected a whole number from 0 to 1024",
        ),
        (
            "WAYSIDE__EDGE__DEMO_COUNTRY",
            "yes",
            "invalid type: string \"yes\", expected a boolean",
        ),
        (
            "WAYSIDE__EDGE__TRUSTED_PROXIES",
            "10.0.0.0/8,x",
            "invalid value: string \"x\", expected a network such as",
        ),
    ] {
        let error = with(&[(name, value)]).expect_err(name).to_string();
        let expected = format!("{name}: {expected}");
        assert!(error.starts_with(&expected), "found {error}, expected {expected}");
    }
}

#[test]
fn two_tokens_are_one_too_many() {
    refuses(
        "[upstream]\ntoken = \"a\"\ntoken_file = \"b\"\n",
        "upstream.token and upstream.token_file are both set, expected only one of them",
    );
}

#[test]
fn a_database_has_one_password_and_a_replica_something_it_is_one_of() {
    refuses(
        "[origin]\nstore = \"postgres://u:p@h/d\"\npassword_file = \"b\"\n",
        "origin.store and origin.password_file are both set, expected only one of them",
    );
    refuses(
        "[origin]\nreplica = \"postgres://u@h/d\"\n",
        "origin.replica is set without origin.store, expected both",
    );
}

#[test]
fn what_would_have_no_effect_is_refused() {
    for (text, expected) in [
        (
            "[upstream]\ntimeout_ms = 500\nregions = [{ name = \"eu\", origins = [\"http://a.example\", \
             \"http://b.example\"] }]\n[cache]\nload_timeout_ms = 500\n",
            "w.toml:2:1: upstream.timeout_ms: 500, expected less than cache.load_timeout_ms, which is 500: no time would be left to \
             ask another origin",
        ),
        (
            "[origin]\nstore = \"postgres://u:hunter2@h/d\"\nreplica = \"postgres://u:hunter2@h/d\"\n",
            "w.toml:3:1: origin.replica: found the URL of origin.store, expected that of a replica of it, or none",
        ),
        (
            "[shared_cache]\nurls = [\"redis://a.example\", \"redis://b.example\"]\n",
            "w.toml:2:1: shared_cache.urls: found 2 servers, expected one, or `cluster = true`",
        ),
        (
            "[shared_cache]\ncluster = true\n",
            "shared_cache.cluster is set without shared_cache.urls, expected both",
        ),
        (
            "[shared_cache]\npassword = \"hunter2\"\n",
            "shared_cache.password is set without shared_cache.urls, expected both",
        ),
    ] {
        refuses(text, expected);
    }
    for text in [
        // One origin: there is no other to ask.
        "[cache]\nload_timeout_ms = 500\n",
        "[shared_cache]\nurls = [\"redis://a.example\", \"redis://b.example\"]\ncluster = true\nuser = \"u\"\n",
    ] {
        assert!(parse("w.toml", text).is_ok(), "{text}");
    }
}

#[test]
fn an_origin_that_other_machines_reach_without_a_certificate_is_in_the_open() {
    for (text, expected) in [
        ("", false),
        ("listen = \"[::ffff:127.0.0.1]:7070\"", false),
        ("listen = \"0.0.0.0:7070\"", true),
        ("listen = \"[::]:7070\"", true),
        (
            "listen = \"0.0.0.0:7070\"\ncertificate_file = \"a\"\nkey_file = \"b\"",
            false,
        ),
    ] {
        let config = parse("w.toml", &format!("[origin]\n{text}\n")).expect(text);
        assert_eq!(config.origin.is_in_the_open(), expected, "{text}");
    }
}

#[test]
fn origins_are_named_one_way_and_each_once() {
    let regions = |text: &str| format!("[upstream]\n{text}\n");
    refuses(
        &regions("url = \"http://a.example\"\nregions = [{ name = \"eu\", origins = [\"http://b.example\"] }]"),
        "upstream.url and upstream.regions are both set, expected only one of them",
    );
    refuses(
        &regions("regions = []"),
        "w.toml:2:1: upstream.regions: found an empty list, expected at least one region",
    );
    refuses(
        &regions("[[upstream.regions]]\nname = \"eu\"\norigins = []"),
        "w.toml:2:12: upstream.regions[0].origins: found an empty list, expected the URL of at least one origin",
    );
    let eu = "[[upstream.regions]]\nname = \"eu\"\norigins = [\"http://a.example\", \"http://b.example\"]\n";
    refuses(
        &regions(&format!(
            "{eu}[[upstream.regions]]\nname = \"us\"\norigins = [\"http://B.example/\"]"
        )),
        "w.toml:2:12: upstream.regions[1].origins[0]: found `http://b.example` again, expected each origin once",
    );
    refuses(
        &regions(&format!(
            "{eu}[[upstream.regions]]\nname = \"eu\"\norigins = [\"http://c.example\"]"
        )),
        "w.toml:2:12: upstream.regions[1].name: found `eu` again, expected another name for each region",
    );
    let error = parse("w.toml", &regions("[[upstream.regions]]\nname = \"eu\"")).expect_err("no origins");
    assert!(
        error.to_string().starts_with("w.toml:2:1: missing field `origins`"),
        "{error}"
    );
}

#[test]
fn a_worse_level_is_not_reached_before_a_better_one() {
    refuses(
        "[degradation]\nmemory_core_only_percent = 80\n",
        "w.toml:2:1: degradation.memory_core_only_percent: 80, expected no less than memory_reduced_percent, which is 85",
    );
    refuses(
        "[degradation]\nlatency_emergency_ms = 499\n",
        "w.toml:2:1: degradation.latency_emergency_ms: 499, expected no less than latency_core_only_ms, which is 500",
    );
    refuses(
        "[degradation]\npolicy_queue_reduced_percent = 91\n",
        "degradation.policy_queue_core_only_percent: 90, expected no less than policy_queue_reduced_percent, which is 91",
    );
    let pinned = with(&[("WAYSIDE__DEGRADATION__PINNED", "core-only")]).expect("configuration");
    assert_eq!(pinned.degradation.pinned, Some(Level::CoreOnly));
}

#[test]
fn a_score_weighs_something() {
    refuses(
        "[streams]\nscore_load = 0\nscore_latency = 0\nscore_bandwidth = 0\n",
        "w.toml:2:1: streams.score_load: 0, expected more than 0 here, in score_latency or in score_bandwidth, which are 0 too",
    );
    let two = "[streams]\nscore_load = 0\nscore_latency = 0\n";
    parse("w.toml", two).expect("one that weighs");
    // It is not what the file says that is wrong.
    let variable = ("WAYSIDE__STREAMS__SCORE_BANDWIDTH".to_owned(), "0".to_owned());
    let refused = Config::from_sources(Some(("w.toml", two)), [variable]).expect_err("none weighs");
    assert!(refused.to_string().starts_with("streams.score_load: 0"), "{refused}");
}

#[test]
fn a_certificate_needs_its_key() {
    refuses(
        "[origin]\ncertificate_file = \"a\"\n",
        "only one of origin.certificate_file and origin.key_file is set, expected both or neither",
    );
}

#[test]
fn one_origin_is_a_region_of_its_own_and_a_list_may_come_from_the_environment() {
    let urls = |config: &Config| -> Vec<String> {
        let regions = config.upstream.all_regions();
        let origins = regions.iter().flat_map(|region| &region.origins);
        origins.map(|url| url.as_str().to_owned()).collect()
    };
    assert_eq!(urls(&Config::default()), ["http://127.0.0.1:7070"]);
    assert_eq!(
        urls(&with(&[("WAYSIDE__UPSTREAM__URL", "http://a.example")]).expect("configuration")),
        ["http://a.example"]
    );
    let list = "[{ name = 'eu', origins = ['http://b.example', 'http://c.example'] }, { name = 'us', preference = 7, \
                origins = ['http://d.example'] }]";
    let config = with(&[("WAYSIDE__UPSTREAM__REGIONS", list)]).expect("configuration");
    assert_eq!(
        urls(&config),
        ["http://b.example", "http://c.example", "http://d.example"]
    );
    let printed = config.to_toml().expect("TOML");
    assert_eq!(parse("printed.toml", &printed).expect("printed"), config, "{printed}");
}

#[test]
fn secrets_are_masked_wherever_they_are_printed() {
    let config = parse("w.toml", "[upstream]\ntoken = \"ws_0123_hunter2\"\n").expect("configuration");
    let printed = config.to_toml().expect("TOML");
    assert!(printed.contains("token = \"********\"\n"), "{printed}");
    assert!(!printed.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    let unquoted = [
        "424242",
        "-424242",
        "12345678901234567890",
        "4242424242424242424242",
        "-4242424242424242424242",
        "99999999999999999999999999999999999999999",
        "4242.42",
        "1979-05-27",
        "424242_secret",
    ];
    for token in unquoted {
        let error = parse("w.toml", &format!("[upstream]\ntoken = {token}\n"))
            .expect_err(token)
            .to_string();
        assert!(error.starts_with("w.toml:2:"), "{error}");
        assert!(!error.contains(token.trim_start_matches('-')), "{error}");
    }
}

#[test]
fn what_is_printed_can_be_read() {
    let text = "[edge]\nlisten = \"[::]:80\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n[geo]\ncity = \"a.mmdb\"\n";
    let config = parse("w.toml", text).expect("configuration");
    assert_eq!(
        parse("printed.toml", &config.to_toml().expect("TOML")).expect("printed"),
        config
    );
}

#[test]
fn the_schema_describes_and_bounds_every_key() {
    let schema = Config::schema();
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
    let threads = &schema["$defs"]["Edge"]["properties"]["threads"];
    assert_eq!(
        (&threads["minimum"], &threads["maximum"]),
        (&Value::from(0), &Value::from(1024))
    );
    assert_eq!(threads["default"], Value::from(0));
    for (name, section) in schema["$defs"].as_object().expect("definitions") {
        for (key, property) in section["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{name}.{key} has no description");
        }
    }
}
