use super::*;

fn canonical(text: &str) -> String {
    let mut out = String::new();
    Json::read(text, 32).unwrap().canonical(&mut out);
    out
}

#[test]
fn one_record_has_one_form() {
    assert_eq!(
        canonical(r#" { "b" : [1, 2.50, 1e2, -0, 0.0] , "a" : "x\u0041\/\n" } "#),
        r#"{"a":"xA/\n","b":[1,2.5,100,0,0]}"#
    );
    for (one, other) in [
        ("1.5", "15e-1"),
        ("100", "1E+2"),
        ("0.001", "1.0e-3"),
        ("-12.340", "-1234e-2"),
    ] {
        assert_eq!(canonical(one), canonical(other), "{one}");
    }
    // Doubles could not tell these apart.
    assert_ne!(canonical("9007199254740993"), canonical("9007199254740992"));
    assert_eq!(
        canonical("123456789012345678901234567890"),
        "1.2345678901234567890123456789e+29".to_owned()
    );
    assert_eq!(canonical("1e400"), "1e+400");
    assert_eq!(canonical("1e99999999999999999999"), "1e99999999999999999999");
    assert_eq!(canonical("0.0000001"), "1e-7");
}

#[test]
fn what_is_not_json_is_told_with_its_place() {
    let cases = [
        ("", 0),
        ("{", 1),
        ("{\"a\":1,}", 7),
        ("[1 2]", 3),
        ("nul", 0),
        ("NaN", 0),
        ("01", 1),
        ("1.", 2),
        ("\"\u{1}\"", 1),
        ("\"\\ud800\"", 7),
        ("\"\\x\"", 2),
        ("{\"a\":1,\"a\":2}", 10),
        ("{\"a\":1} {}", 8),
        ("\"open", 5),
    ];
    for (text, offset) in cases {
        assert_eq!(Json::read(text, 32).unwrap_err().offset, offset, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Json::read(&nested(32), 32).is_ok());
    assert_eq!(
        Json::read(&nested(33), 32).unwrap_err().problem,
        "nested too deep"
    );
    assert!(Json::read(&nested(1_000_000), 32).is_err());
}

/// Whatever one reader takes the other takes, but for what we refuse on purpose; and a form read again has the same form.
#[test]
fn our_reader_agrees_with_the_usual_one() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let pieces = [
        "{", "}", "[", "]", ":", ",", "\"a\"", "\"b\\n\"", "1", "-2.5e3", "true", "null", " ", "\"ü\"", "0",
        ".", "\\",
    ];
    for _ in 0..20_000 {
        let text: String = (0..next(9))
            .map(|_| pieces[next(pieces.len() as u64) as usize])
            .collect();
        let ours = Json::read(&text, 32);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (&ours, &theirs) {
            (Ok(value), Ok(_)) => {
                let mut form = String::new();
                value.canonical(&mut form);
                assert_eq!(canonical(&form), form, "{text}");
            }
            (Err(error), Ok(_)) => assert_eq!(error.problem, "a key stands twice", "{text}"),
            // A double cannot hold it; we need not hold it in one.
            (Ok(_), Err(error)) => assert!(error.to_string().contains("out of range"), "{text}: {error}"),
            (Err(_), Err(_)) => {}
        }
    }
}
