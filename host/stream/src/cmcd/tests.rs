//! What players send, and what nobody should.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{BATCH_BYTES_MAX, Batch, ObjectType, Refused, Report, State, from_body, from_headers, from_query};

/// As the players' own library writes it, version 2.7.0.
const VERSION_1: &str = r#"bl=2100,br=5000,bs,cid="c",d=4004,mtp=25400,nor="..%252F300kbps%252Fa.m4v",ot=v,pr=1.08,rtp=12000,sf=h,sid="a \"b\\ c, d",st=v,tb=6000"#;
const QUERY_1: &str = "x=1&CMCD=bl%3D2100%2Cbr%3D5000%2Cbs%2Ccid%3D%22c%22%2Cd%3D4004%2Cmtp%3D25400%2Cnor%3D%22..%25252F300kbps%25252Fa.m4v%22%2Cot%3Dv%2Cpr%3D1.08%2Crtp%3D12000%2Csf%3Dh%2Csid%3D%22a%20%5C%22b%5C%5C%20c%2C%20d%22%2Cst%3Dv%2Ctb%3D6000&y";
const VERSION_2: &str = r#"bl=(2100),br=(5000),bs,bsd=(300),cdn="x",cid="c1",dfa=3,e=rr,ec=("E1" "E 2"),ltc=1234,mtp=(25400),nor=("a.m4s"),ot=v,rc=200,sid="s1",sn=7,sta=p,ts=1700000000123,ttfb=20,ttlb=120,url="https://a.example/x/1.m4s?b=1",v=2"#;

fn first_version() -> Report {
    Report {
        session: Some(r#"a "b\ c, d"#.to_owned()),
        object: Some(ObjectType::Media),
        bitrate_kbit_s: Some(5_000),
        throughput_kbit_s: Some(25_400),
        is_starved: true,
        ..Report::default()
    }
}

fn one(text: &str) -> Report {
    let batch = from_body(text.as_bytes()).expect("short");
    assert_eq!(
        (batch.reports.len(), batch.refused),
        (1, 0),
        "{text}: {:?}",
        batch.first
    );
    batch.reports.into_iter().next().expect("one")
}

#[test]
fn the_first_version_is_read_from_a_query_and_from_headers() {
    assert_eq!(from_query(QUERY_1), Ok(Some(first_version())));
    assert_eq!(from_query(&format!("?{QUERY_1}")), Ok(Some(first_version())));
    let headers = [
        ("CMCD-Request", r#"bl=2100,mtp=25400,nor="..%252F300kbps%252Fa.m4v""#),
        ("accept", "*/*"),
        ("CMCD-Object", "br=5000,d=4004,ot=v,tb=6000"),
        ("cmcd-status", "bs,pr=1.08,rtp=12000"),
        ("CMCD-Session", r#"cid="c",sf=h,sid="a \"b\\ c, d",st=v"#),
    ];
    assert_eq!(from_headers(headers), Ok(Some(first_version())));
    assert_eq!(
        (
            from_query("a=b&cmcd=x"),
            from_headers([("accept", "x"), ("cmcd-status", " ")])
        ),
        (Ok(None), Ok(None))
    );
}

#[test]
fn the_second_version_is_read_from_a_batch() {
    let expected = Report {
        session: Some("s1".to_owned()),
        object: Some(ObjectType::Media),
        bitrate_kbit_s: Some(5_000),
        throughput_kbit_s: Some(25_400),
        is_starved: true,
        state: Some(State::Playing),
        errors: 2,
        url: Some("https://a.example/x/1.m4s?b=1".to_owned()),
        status: Some(200),
    };
    let body = format!("{VERSION_2}\n\r\n{VERSION_1}\r\nbr=(\n");
    let batch = from_body(body.as_bytes()).expect("short");
    assert_eq!(batch.reports, [expected, first_version()]);
    assert_eq!(batch.refused, 1);
    let text = batch.first.expect("why").to_string();
    assert_eq!(text, "CMCD at byte 4: found the end, expected a value");
    assert_eq!(from_body(b"\n \r\n"), Ok(Batch::default()));
}

#[test]
fn values_have_many_spellings() {
    let report = one(
        "br=(5000;v 128;a);x=1 , bl=(900 400),\tbs=?0,su=?1,mtp=12.9,ot=m,e=zz,sta=r,bsd=(100;v 50),com.example-x=\"é\"",
    );
    assert_eq!(
        (report.bitrate_kbit_s, report.throughput_kbit_s, report.is_starved),
        (Some(5_000), Some(12), false)
    );
    assert_eq!(
        (report.object, report.state),
        (Some(ObjectType::Manifest), Some(State::Rebuffering))
    );
    assert!(
        one("bs=?1").is_starved && one("bs=true").is_starved && !one("bs=false").is_starved && !one("bs=1").is_starved
    );
    assert_eq!(
        one("br=1,br=2").bitrate_kbit_s,
        Some(2),
        "the last counts, as in any dictionary"
    );
    assert_eq!(one("br=()").bitrate_kbit_s, None);
    assert_eq!(one("br=2,").bitrate_kbit_s, Some(2));
}

#[test]
fn what_cannot_be_true_is_left_out() {
    for text in [
        "br=-1",
        "br=NaN",
        "br=inf",
        "br=1e30",
        "br=\"5\"",
        "br",
        "br=100000001",
        "sid=abc",
        "rc=99999",
        "br=18446744073709551616",
        "mtp=(-1)",
        "rc=x",
    ] {
        assert_eq!(one(text), Report::default(), "{text}");
    }
    assert_eq!(one(&format!("sid=\"{}\"", "x".repeat(257))).session, None);
}

#[test]
fn broken_structure_is_named_by_its_place() {
    for (text, expected) in [
        ("=1", "at byte 0: found \"=1\", expected a key"),
        ("br=", "at byte 3: found the end, expected a value"),
        ("br=1 2", "at byte 5: found \"2\", expected a comma"),
        ("br=1,,bl=2", "at byte 5: found \",bl=2\", expected a key"),
        ("sid=\"a", "at byte 6: found the end, expected a closing quotation mark"),
        (
            "sid=\"\\a\"",
            "at byte 6: found \"a\\\"\", expected a quotation mark or a backslash after a backslash",
        ),
        (
            "sid=\"\u{7}\"",
            "at byte 5: found \"\\u{7}\\\"\", expected no control character",
        ),
        (
            "br=(1",
            "at byte 5: found the end, expected a space, or the end of the list",
        ),
        (
            "br=(1,2)",
            "at byte 5: found \",2)\", expected a space, or the end of the list",
        ),
        ("br=(1;)", "at byte 6: found \")\", expected a parameter"),
        ("br=((1))", "at byte 4: found \"(1))\", expected a value"),
        ("é=1", "at byte 0: found \"é=1\", expected a key"),
    ] {
        let batch = from_body(text.as_bytes()).expect("short");
        let found = batch.first.expect(text).to_string();
        assert_eq!(found, format!("CMCD {expected}"), "{text}");
    }
    let batch = from_body(b"sid=\"\xff\"").expect("short");
    let text = batch.first.expect("why").to_string();
    assert_eq!(text, "CMCD at byte 5: found bytes that are no UTF-8, expected UTF-8");
}

#[test]
fn everything_is_bounded() {
    let too_long = |found: Result<Option<Report>, Refused>| found.expect_err("too long").to_string();
    let long = format!("CMCD={}", "x".repeat(9_000));
    assert_eq!(
        too_long(from_query(&long)),
        "CMCD: found 9000 bytes, expected 8192 at most"
    );
    let part = "x".repeat(5_000);
    assert_eq!(
        too_long(from_headers([("cmcd-object", &*part), ("cmcd-status", &*part)])),
        "CMCD: found 10000 bytes, expected 8192 at most"
    );
    let keys: String = (0..65).map(|key| format!("k{key},")).collect();
    assert_eq!(
        too_long(from_query(&format!("CMCD={keys}"))),
        "CMCD: found 65 keys or more, expected 64 at most"
    );
    let items = format!("CMCD=br=({})", "1 ".repeat(33));
    assert!(too_long(from_query(&items)).contains("expected the end of a list of 32 items"));
    let events = "bs\n".repeat(257);
    assert_eq!(
        from_body(events.as_bytes()).expect_err("too many").to_string(),
        "CMCD: found 257 events, expected 256 at most"
    );
    from_body(&vec![b'x'; BATCH_BYTES_MAX + 1]).expect_err("too long");
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), text in any::<String>(),
        pieces in proptest::collection::vec(0_usize..18, 0..40),
    ) {
        const PIECES: [&str; 18] = [
            "br", "=", ",", "(", ")", "\"", "\\", ";", " ", "1", "-", ".5", "sid", "?1", "\n", "é", "v=2", "e9",
        ];
        let pieced: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        for body in [bytes, pieced.clone().into_bytes(), text.clone().into_bytes()] {
            let batch = from_body(&body).expect("short");
            let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
            prop_assert_eq!(batch.reports.len() + batch.refused, lines);
        }
        for text in [text, pieced] {
            let _ = from_query(&text);
            let _ = from_query(&format!("CMCD={text}"));
            let _ = from_headers([("CMCD-Status", &*text), ("CMCD-Object", "br=1")]);
        }
    }

    #[test]
    fn what_is_written_is_read(session in "[ -~é]{0,40}", br in 0_u64..=100_000_000, mtp in 0_u64..=100_000_000, is_starved in any::<bool>()) {
        let escaped = session.replace('\\', "\\\\").replace('"', "\\\"");
        let starved = if is_starved { ",bs" } else { "" };
        for (open, close) in [("", ""), ("(", ")")] {
            let report = one(&format!("mtp={open}{mtp}{close},br={open}{br};v{close}{starved},sid=\"{escaped}\""));
            prop_assert_eq!(report.session.as_deref(), Some(&*session));
            prop_assert!((report.bitrate_kbit_s, report.throughput_kbit_s, report.is_starved) == (Some(br), Some(mtp), is_starved));
        }
    }
}
