//! Documents that are broken, hostile or merely odd: each is read, or refused with the place, in bounded time.

use pony_wire::{Call, Fault, StepResult, Value, WireError, decode_answer};

fn answer(value: &str) -> String {
    format!("<?xml version='1.0'?>\n<methodResponse><params><param>{value}</param></params></methodResponse>")
}

fn value(xml: &str) -> Value {
    decode_answer(answer(xml).as_bytes()).unwrap_or_else(|error| panic!("{xml}: {error}")).unwrap()
}

fn refused(document: impl AsRef<[u8]>) -> WireError {
    let error = decode_answer(document.as_ref()).expect_err("a hostile document was read");
    assert!(error.to_string().len() < 250, "{error}");
    error
}

fn called(method: &str, params: &[&str]) -> Result<Call, Fault> {
    let params: String = params.iter().map(|param| ["<param>", param, "</param>"].concat()).collect();
    let document =
        format!("<methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>");
    Call::decode(document.as_bytes())
}

fn fault(method: &str, params: &[&str]) -> String {
    let fault = called(method, params).expect_err("a bad call was read");
    assert_eq!(fault.code, 1);
    fault.message
}

fn bag(members: &[(&str, &str)]) -> String {
    let member =
        |(name, value): &(&str, &str)| format!("<member><name>{name}</name><value>{value}</value></member>");
    let members = members.iter().map(member).collect::<Vec<_>>().concat();
    format!("<value><struct>{members}</struct></value>")
}

const SLOT: [(&str, &str); 3] = [("package", "p"), ("host", "h"), ("arch", "a")];
const NO_STEPS: &str = "<value><array><data/></array></value>";

#[test]
fn an_error_names_the_place_and_both_sides() {
    let document = "<?xml version='1.0'?>\n<methodResponse>\n<params><param><value>1</valu></param></params>";
    assert_eq!(
        refused(document).to_string(),
        "line 3, column 24: expected `</value>`, but `</valu>` was found"
    );
    let document = answer("<value>\n é<int>1x</int></value>").replace('é', "<!-- é -->");
    assert_eq!(refused(document).to_string(), "line 3, column 12: `1x` is no int");
    assert_eq!(
        refused("").to_string(),
        "line 1, column 1: expected `<methodResponse>`, but the end of the document was found"
    );
    assert_eq!(
        refused("Not Found").to_string(),
        "line 1, column 1: expected `<methodResponse>`, but text `Not Found` was found"
    );
    assert_eq!(
        Call::decode(b"<methodCall>\n<oops/>").expect_err("broken").message,
        "<class 'xml.parsers.expat.ExpatError'>:line 2, column 1: expected `<methodName>`, but `<oops>` was found"
    );
}

#[test]
fn a_long_document_is_never_quoted_at_length() {
    let long = "x".repeat(100_000);
    for document in [
        answer(&format!("<value><int>{long}</int></value>")),
        answer(&format!("<value><{long}>")),
        answer(&format!("<value>&{long};</value>")),
        answer(&format!("<value>1</{}>", &long[..1000])),
        format!("<?xml version='1.0' encoding='{}'?>", &long[..900]),
        long.clone(),
    ] {
        refused(document);
    }
    assert!(fault(&long, &[]).len() < 200);
}

#[test]
fn nesting_ends_at_32_levels_in_a_call_and_one_more_in_an_answer() {
    let nested = |levels: usize| {
        let open = "<value><array><data>".repeat(levels);
        open + "<value>x</value>" + &"</data></array></value>".repeat(levels)
    };
    assert!(decode_answer(answer(&nested(33)).as_bytes()).is_ok());
    assert_eq!(refused(answer(&nested(34))).message, "nested more than 33 levels deep");
    let with_extra =
        |levels| bag(&[SLOT[0], SLOT[1], SLOT[2], ("extra", &nested(levels)[7..nested(levels).len() - 8])]);
    assert!(called("add_results", &[&with_extra(31), NO_STEPS]).is_ok());
    assert!(fault("add_results", &[&with_extra(32), NO_STEPS]).contains("nested more than 32 levels deep"));
}

#[test]
fn a_hundred_thousand_levels_are_refused() {
    for open in ["<value><array><data>", "<value><struct><member><name>a</name>", "<a>", "<value>"] {
        refused(answer(&open.repeat(100_000)));
    }
    refused("</value>".repeat(100_000));
}

#[test]
fn bombs_are_refused() {
    let laughs = "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>\
                  <methodResponse><params><param><value>&b;</value></param></params></methodResponse>";
    assert_eq!(refused(laughs).to_string(), "line 1, column 22: a document type definition is refused");
    refused("<!DOCTYPE x SYSTEM 'file:///etc/passwd'><methodResponse/>");
    assert_eq!(refused(answer("<value>&b;</value>")).message, "unknown entity `&b;`");
    let attributes: String = (0..80_000).map(|n| [" a", &n.to_string(), "='1'"].concat()).collect();
    assert!(refused(answer(&format!("<value{attributes}>1</value>"))).message.contains("the limit is 1024"));
    let many = "<value/>".repeat(600_000);
    let many = answer(&format!("<value><array><data>{many}</data></array></value>"));
    assert_eq!(refused(many).message, "more than 500000 values");
}

#[test]
fn a_string_of_100_megabytes_is_read() {
    let long = "<b>&amp;".repeat(1 << 16).replace('<', "&lt;").replace('>', "&gt;") + &"x".repeat(100 << 20);
    let read = value(&["<value><string>", &long, "</string></value>"].concat());
    assert_eq!(read.as_str().map(str::len), Some((100 << 20) + (4 << 16)));
}

#[test]
fn a_document_that_ends_early_is_refused_wherever_it_ends() {
    let document = answer(
        "<value><struct><member><name>a&lt;</name><value><int>1</int></value></member></struct></value>",
    );
    assert!(decode_answer(document.as_bytes()).is_ok());
    for end in 0..document.len() {
        refused(&document[..end]);
    }
    refused(document.clone() + "<more/>");
    refused(document + "more");
}

#[test]
fn other_encodings_are_refused_and_latin_1_is_read() {
    let declared = |encoding: &str| {
        answer("<value>caf\u{e9}</value>").replace("'1.0'", &format!("'1.0' encoding='{encoding}'"))
    };
    let bytes = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<_>>();
    let read = |document: &[u8]| decode_answer(document).unwrap().unwrap();
    for (name, expected) in
        [("UTF-8", "caf\u{FFFD}"), ("us-ascii", "caf\u{FFFD}"), ("iso-8859-1", "caf\u{e9}")]
    {
        assert_eq!(read(&bytes(&declared(name))), Value::from(expected), "{name}");
    }
    assert_eq!(read(declared("utf-8").as_bytes()), Value::from("caf\u{e9}"));
    assert_eq!(read(("\u{feff}".to_owned() + &declared("utf-8")).as_bytes()), Value::from("caf\u{e9}"));
    assert!(refused(declared("EUC-JP")).message.starts_with("encoding `EUC-JP` is not read; send UTF-8"));
    let utf16: Vec<u8> = declared("utf-16").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(refused(&utf16).message.contains("UTF-16"));
    refused([&[0xFF, 0xFE], utf16.as_slice()].concat());
    refused([0; 1000]);
    refused([0xC3; 1000]);
}

#[test]
fn python_s_ways_to_write_are_read() {
    assert_eq!(value("<value>  </value>"), Value::from("  "));
    assert_eq!(value("<value></value>"), Value::from(""));
    assert_eq!(value("<value/>"), Value::from(""));
    assert_eq!(value("<value>\n<string> a\r\nb&#13;\rc </string>\n</value>"), Value::from(" a\nb\r\nc "));
    assert_eq!(value("<value><![CDATA[<a> & ]]>b</value>"), Value::from("<a> & b"));
    assert_eq!(value("<value>\x1b[1m\0\u{fffe}&#27;</value>"), Value::from("\x1b[1m\0\u{fffe}\x1b"));
    assert_eq!(value("<value>&lt;&gt;&amp;&apos;&quot;&#xe9;&#233;</value>"), Value::from("<>&'\"éé"));
    assert_eq!(value("<value><i8> -9223372036854775808\n</i8></value>"), Value::Int(i64::MIN));
    assert_eq!(value("<value><double>1e-07</double></value>"), Value::Double(1e-7));
    assert_eq!(value("<value><double>-inf</double></value>"), Value::Double(f64::NEG_INFINITY));
    assert_eq!(value("<value><base64>\nYWJj\nZA==\n</base64></value>"), Value::Base64(b"abcd".to_vec()));
    assert_eq!(value("<value><base64>YWJjZA</base64></value>"), Value::Base64(b"abcd".to_vec()));
    let date = "2026-11-22T05:31:51+01:00";
    let xml = format!("<value><dateTime.iso8601>{date}</dateTime.iso8601></value>");
    assert_eq!(value(&xml), Value::DateTime(date.to_owned()));
    assert_eq!(value("<value><ex:nil xmlns:ex='x'/></value>"), Value::Nil);
    assert_eq!(value("<value><array></array></value>"), Value::Array(Vec::new()));
    let twice = bag(&[("", "1"), ("", "2")]);
    assert_eq!(value(&twice).as_struct().and_then(|members| members[""].as_str()), Some("2"));
    for wrong in [
        "<int></int>",
        "<int>1.0</int>",
        "<boolean>2</boolean>",
        "<base64>?</base64>",
        "a<int>1</int>",
        "<uint/>",
    ] {
        refused(answer(&format!("<value>{wrong}</value>")));
    }
}

#[test]
fn a_bag_that_breaks_servers_is_refused_by_name() {
    for (index, (key, _)) in SLOT.iter().enumerate() {
        let with = |replacement: Option<&'static str>| {
            let mut members = SLOT.to_vec();
            match replacement {
                Some(value) => members[index].1 = value,
                None => drop(members.remove(index)),
            }
            [
                fault("add_results", &[&bag(&members), NO_STEPS]),
                fault("check_should_build", &[&bag(&members)]),
            ]
        };
        let expect = |got: [String; 2], message: &str| assert_eq!(got, [message, message]);
        expect(with(None), &format!("<type 'exceptions.KeyError'>:'{key}'"));
        expect(with(Some("<nil/>")), &format!("<type 'exceptions.KeyError'>:'{key}'"));
        expect(with(Some(" ")), &format!("<type 'exceptions.ValueError'>:'{key}' must not be empty"));
        let message = format!("<type 'exceptions.TypeError'>:'{key}' must be a string, not an int");
        expect(with(Some("<int>1</int>")), &message);
    }
}

#[test]
fn wrong_types_are_named_with_their_path() {
    let client_info = |key, value| bag(&[SLOT[0], SLOT[1], SLOT[2], (key, value)]);
    let step = |key, value| {
        format!("<value><array><data>{}{}</data></array></value>", bag(&[]), bag(&[(key, value)]))
    };
    let good = bag(&SLOT);
    for (client_info, results, culprit) in [
        (client_info("tags", "a b"), NO_STEPS.to_owned(), "'tags' must be an array of strings, not a string"),
        (
            client_info("tags", "<array><data><value><int>3</int></value></data></array>"),
            NO_STEPS.to_owned(),
            "'tags[0]' must be a string, not an int",
        ),
        (client_info("success", "yes"), NO_STEPS.to_owned(), "'success' must be a boolean, not a string"),
        ("<value>x</value>".to_owned(), NO_STEPS.to_owned(), "'client_info' must be a struct, not a string"),
        (good.clone(), good.clone(), "'results' must be an array, not a struct"),
        (
            good.clone(),
            NO_STEPS.replace("<data/>", "<data><value/></data>"),
            "'results[0]' must be a struct, not a string",
        ),
        (good.clone(), step("status", "0"), "'results[1].status' must be an int, not a string"),
        (good.clone(), step("output", "<base64/>"), "'results[1].output' must be a string, not base64"),
        (good.clone(), step("duration", "1s"), "'results[1].duration' must be a number, not a string"),
    ] {
        let expected = format!("<type 'exceptions.TypeError'>:{culprit}");
        assert_eq!(fault("add_results", &[&client_info, &results]), expected);
    }
    let allowance = fault(
        "check_should_build",
        &[&good, "<value><int>1</int></value>", "<value><double>nan</double></value>"],
    );
    assert_eq!(
        allowance,
        "<type 'exceptions.TypeError'>:'allowance' must be a number of seconds, 0 or more, not a double"
    );
    let tagset = fault("get_last_result_for_tagset", &["<value>p</value>", "<value>t</value>"]);
    assert_eq!(tagset, "<type 'exceptions.TypeError'>:'tagset' must be an array of strings, not a string");
}

#[test]
fn the_wrong_number_of_arguments_is_counted_as_python_does() {
    let good = bag(&SLOT);
    let takes = |method: &str, params: &[&str]| {
        fault(method, params).split_once(">:").map(|(_, text)| text.to_owned()).unwrap()
    };
    assert_eq!(takes("add_results", &[&good]), "add_results() takes exactly 3 arguments (2 given)");
    assert_eq!(takes("check_should_build", &[]), "check_should_build() takes at least 2 arguments (1 given)");
    assert_eq!(
        takes("check_should_build", &[good.as_str(); 4]),
        "check_should_build() takes at most 4 arguments (5 given)"
    );
    assert_eq!(takes("get_results", &[]), "get_results() takes exactly 2 arguments (1 given)");
}

#[test]
fn optional_arguments_and_keys_may_be_absent() {
    let Ok(Call::CheckShouldBuild { client_info, reserve, allowance }) =
        called("check_should_build", &[&bag(&SLOT)])
    else {
        panic!()
    };
    assert_eq!((client_info.slot.tags, reserve, allowance), (Vec::new(), true, 0.0));
    let key = called("get_results", &["<value><int>7</int></value>"]);
    assert_eq!(key, Ok(Call::GetResults { result_key: "7".to_owned() }));
    let Ok(Call::AddResults { client_info, results }) = called(
        "add_results",
        &[&bag(&SLOT), &NO_STEPS.replace("<data/>", &["<data>", &bag(&[]), "</data>"].concat())],
    ) else {
        panic!()
    };
    assert_eq!((client_info.success, results), (None, vec![StepResult::default()]));
    let Err(fault) = Call::decode(b"<methodCall><methodName>nosuch</methodName></methodCall>") else {
        panic!()
    };
    assert_eq!(
        fault.message,
        "<type 'exceptions.AttributeError'>:'XmlRpcFunctions' object has no attribute 'nosuch'"
    );
}
