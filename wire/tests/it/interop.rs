//! Python's own XML-RPC at the other end: its server, its client, its documents.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use pony_wire::{
    Answer, Call, ClientInfo, Fault, Slot, StepResult, Struct, Value, decode_answer, decode_value,
    encode_answer, encode_value,
};

/// Python running `peer.py`. It ends when its standard input does, even if the test dies.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    #[expect(clippy::disallowed_methods, reason = "the peer of these tests is a process")]
    fn start(arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peer.py");
        let mut command = Command::new("python3");
        command.arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("these tests need python3");
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdin, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("python ended early").unwrap()
    }

    fn finish(mut self) {
        drop(self.stdin.take());
        assert_eq!(self.lines.next().map(Result::unwrap), None);
        assert!(self.child.wait().unwrap().success());
    }
}

fn post(port: u16, document: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        document.len()
    )
    .unwrap();
    stream.write_all(document).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let body = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    response.split_off(body)
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Struct {
    members.map(|(name, value)| (name.to_owned(), value)).into()
}

/// One of everything that can go in, and what the other end reads.
fn everything() -> (Struct, Struct) {
    let sent = members([
        ("", "an empty name".into()),
        ("\u{1b}$", "an illegal name".into()),
        ("nil", Value::Nil),
        ("nils", Value::Array(vec![Value::Nil, Value::Nil])),
        (
            "ints",
            vec![0, i64::from(i32::MIN), i64::from(i32::MAX), 1 << 31, -(1 << 40), i64::MIN, i64::MAX].into(),
        ),
        (
            "doubles",
            vec![0.0, -0.0, 0.1, 1e-7, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::NAN].into(),
        ),
        ("text", " a\r\nb\rc\td \u{1b}[31m\0\u{fffe}\u{7f}\u{85} \u{1f984} <&>'\"]]> ".into()),
        ("bytes", Value::Base64((0..=255).collect())),
        ("date", Value::DateTime("20100807T02:20:34".to_owned())),
        ("empty", Value::Array(vec![Value::Array(Vec::new()), Value::Struct(Struct::new()), "".into()])),
        ("bool", true.into()),
    ]);
    let mut read = sent.clone();
    read.remove("nil");
    let name = read.remove("\u{1b}$").unwrap();
    read.insert("\u{fffd}$".to_owned(), name);
    read.insert("nils".to_owned(), vec!["", ""].into());
    let mut ints: Vec<Value> = vec![0.into(), i32::MIN.into(), i32::MAX.into()];
    ints.extend([Value::Double(2_147_483_648.0), Value::Double(-1_099_511_627_776.0)]);
    ints.extend([Value::Double(-9_223_372_036_854_775_808.0), "9223372036854775807".into()]);
    read.insert("ints".to_owned(), ints.into());
    let text = " a\r\nb\rc\td \u{fffd}[31m\u{fffd}\u{fffd}\u{7f}\u{85} \u{1f984} <&>'\"]]> ";
    read.insert("text".to_owned(), text.into());
    (sent, read)
}

fn client_info(success: Option<bool>, extra: Struct) -> ClientInfo {
    let tags = vec!["a".to_owned(), "b".to_owned()];
    let slot = Slot { package: "p".to_owned(), host: "h".to_owned(), arch: "linux-x86_64".to_owned(), tags };
    ClientInfo { slot, success, extra }
}

#[test]
fn python_s_server_reads_what_we_call() {
    let (sent, read) = everything();
    let step = |extra: &Struct, output: &str| StepResult {
        status: Some(-9),
        name: Some("make".to_owned()),
        output: Some(output.to_owned()),
        duration: Some(0.25),
        extra: extra.clone(),
        ..StepResult::default()
    };
    let add = |extra: &Struct, output| Call::AddResults {
        client_info: client_info(Some(false), extra.clone()),
        results: vec![step(extra, output), StepResult::default()],
    };
    let same = [
        Call::CheckShouldBuild {
            client_info: client_info(None, Struct::new()),
            reserve: true,
            allowance: 1.5,
        },
        Call::GetTagsetsForPackage { package: "p q é".to_owned() },
        Call::GetLastResultForTagset {
            package: "p".to_owned(),
            tagset: client_info(None, Struct::new()).slot.tagset(),
        },
        Call::GetResults { result_key: "7".to_owned() },
    ];
    let mut calls: Vec<_> = same.iter().map(|call| (call.clone(), call.clone())).collect();
    calls.push((add(&sent, "\u{1b}[1mx\r\n"), add(&read, "\u{fffd}[1mx\r\n")));

    let mut peer = Peer::start(&["serve"]);
    let port = peer.line().parse().unwrap();
    for (sent, read) in calls {
        let answer = decode_answer(&post(port, &sent.encode())).unwrap().unwrap();
        let expected = Value::Array(vec![read.method().into(), Value::Array(params(&read))]);
        assert_eq!(encode_value(&decode_value(answer.as_str().unwrap()).unwrap()), encode_value(&expected));
    }
    let broken = b"<methodCall><methodName>broken</methodName></methodCall>";
    let fault = decode_answer(&post(port, broken)).unwrap().unwrap_err();
    assert_eq!(fault, Fault { code: 1, message: "<class 'KeyError'>:'host'".to_owned() });
    peer.finish();
}

/// The parameters of a call, as its types say.
fn params(call: &Call) -> Vec<Value> {
    match call {
        Call::AddResults { client_info, results } => {
            vec![client_info.to_value(), results.iter().map(StepResult::to_value).collect::<Vec<_>>().into()]
        }
        Call::CheckShouldBuild { client_info, reserve, allowance } => {
            vec![client_info.to_value(), (*reserve).into(), (*allowance).into()]
        }
        Call::GetTagsetsForPackage { package } => vec![package.as_str().into()],
        Call::GetLastResultForTagset { package, tagset } => {
            vec![package.as_str().into(), tagset.iter().cloned().collect::<Vec<_>>().into()]
        }
        Call::GetResults { result_key } => vec![result_key.as_str().into()],
    }
}

/// Takes one request after the other from the listener and answers it; gives back what was called.
fn answer_all(listener: &TcpListener, answers: &[Answer]) -> Vec<Result<Call, Fault>> {
    let answer = |answer: &Answer| {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim().to_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap(),
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let document = encode_answer(answer);
        let head = "HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length:";
        write!(stream.get_mut(), "{head} {}\r\n\r\n", document.len()).unwrap();
        stream.get_mut().write_all(&document).unwrap();
        Call::decode(&body)
    };
    answers.iter().map(answer).collect()
}

#[test]
fn python_s_client_reads_what_we_answer() {
    let (sent, read) = everything();
    let fault = Fault { code: 1, message: "<type 'exceptions.KeyError'>:'\u{1b}é'".to_owned() };
    let values = [
        Value::Array(vec![Value::Int(7), "key".into()]),
        Value::Array(vec![true.into(), "build requested".into()]),
        Value::Nil,
        Value::Struct(sent),
    ];
    let answers: Vec<Answer> = values.into_iter().map(Ok).chain([Err(fault)]).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/xmlrpc", listener.local_addr().unwrap());
    // Not joined before Python is seen to go on: if it dies the test fails, and does not wait for a call.
    let server = std::thread::spawn(move || answer_all(&listener, &answers));
    let mut peer = Peer::start(&["call", &url]);
    let mut next = || peer.line();
    assert_eq!(next(), r#"[7, "key"]"#);
    assert_eq!(next(), r#"[true, "build requested"]"#);
    assert_eq!(next(), r#""""#);
    assert_eq!(encode_value(&decode_value(&next()).unwrap()), encode_value(&Value::Struct(read)));
    let fault = decode_value(&next()).unwrap();
    let expected =
        members([("code", 1.into()), ("message", "<type 'exceptions.KeyError'>:'\u{fffd}é'".into())]);
    assert_eq!(fault, Value::Struct(expected));
    peer.finish();

    let calls: Vec<_> = server.join().unwrap().into_iter().map(Result::unwrap).collect();
    let step = StepResult {
        status: Some(-9),
        name: Some("make".to_owned()),
        output: Some("café <&>\n".to_owned()),
        duration: Some(1e-7),
        extra: members([("log", Value::Base64([0, 0xFF].repeat(60)))]),
        ..StepResult::default()
    };
    let client_info_sent = client_info(Some(true), members([("note", Value::Nil)]));
    assert_eq!(calls[0], Call::AddResults { client_info: client_info_sent, results: vec![step] });
    let client_info = client_info(None, Struct::new());
    assert_eq!(calls[1], Call::CheckShouldBuild { client_info, reserve: false, allowance: 60.0 });
    assert_eq!(calls[2], Call::GetResults { result_key: "7".to_owned() });
}

#[test]
fn what_python_writes_is_read() {
    let mut peer = Peer::start(&["dump"]);
    let mut documents = 0;
    for line in peer.lines.by_ref() {
        let (document, expected): (String, serde_json::Value) = serde_json::from_str(&line.unwrap()).unwrap();
        let digits = |at: usize| u8::from_str_radix(&document[at..at + 2], 16).unwrap();
        let document: Vec<u8> = (0..document.len()).step_by(2).map(digits).collect();
        let read = decode_answer(&document).unwrap().unwrap();
        let expected = decode_value(&expected.to_string()).unwrap();
        assert_eq!(encode_value(&read), encode_value(&expected));
        documents += 1;
    }
    assert_eq!(documents, 32);
    peer.finish();
}
