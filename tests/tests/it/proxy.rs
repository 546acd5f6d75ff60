//! Each fault of the proxy, as a client and a server see it: what came, what did not, what was stored.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use pony_tests::{Connection, Dialect, Direction, Fault, PATIENCE, Peer, Plan, Proxy, World};

use crate::recorded::request_of;

/// What a client got before the end, and the end.
type Heard = (Vec<u8>, Result<(), ErrorKind>);

fn submission() -> Vec<u8> {
    request_of("2010/add-results")
}

fn send(proxy: &Proxy) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A reset may come while it is sent; then it is heard of when reading.
    let _ = stream.write_all(&submission());
    Ok(stream)
}

fn hear(stream: &mut TcpStream) -> Heard {
    let mut heard = Vec::new();
    let end = stream.read_to_end(&mut heard).map(drop).map_err(|error| error.kind());
    (heard, end)
}

/// Submits by way of a proxy that does this; what the client heard, what the proxy says, how many results are stored.
fn submit(peer: &Peer<'_>, fault: Fault) -> (Heard, Connection, usize) {
    let proxy = Proxy::to(peer.port());
    let before = peer.stored().results.len();
    proxy.set(&Plan::of(&[fault]));
    let heard = hear(&mut send(&proxy).unwrap());
    let connections = proxy.connections();
    assert_eq!(connections.len(), 1, "{connections:?}");
    assert_eq!(connections[0].fault, fault);
    peer.settle();
    (heard, connections[0].clone(), peer.stored().results.len() - before)
}

fn is_whole(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.0 200 OK\r\n") && answer.ends_with(b"</methodResponse>\n")
}

#[test]
fn what_passes_passes_whole() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let length = submission().len();
    // A limit beyond what there is is never met.
    let beyond = Fault::Reset(Direction::Up, length);
    for (fault, met) in [(Fault::Pass, true), (beyond, false), (Fault::CutAnswer(10_000), false)] {
        let ((answer, end), connection, stored) = submit(&peer, fault);
        assert!(is_whole(&answer) && end == Ok(()), "{connection}");
        assert_eq!((connection.met, connection.up, connection.down), (met, length, answer.len()));
        assert_eq!(stored, 1, "{connection}");
    }
}

#[test]
fn a_reset_request_is_not_stored_and_a_reset_answer_is() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let ((answer, end), connection, stored) = submit(&peer, Fault::Reset(Direction::Up, 1000));
    assert_eq!((&answer[..], end), (&b""[..], Err(ErrorKind::ConnectionReset)), "{connection}");
    assert_eq!((connection.met, connection.up, connection.down, stored), (true, 1000, 0, 0));
    let request = peer.stored().requests.remove(0);
    assert!(request["size"].as_u64() < request["promised"].as_u64(), "{request}");
    assert!(request["error"].as_str().unwrap().starts_with("ConnectionResetError"), "{request}");

    let ((answer, end), connection, stored) = submit(&peer, Fault::Reset(Direction::Down, 0));
    assert_eq!((&answer[..], end), (&b""[..], Err(ErrorKind::ConnectionReset)), "{connection}");
    assert_eq!((connection.met, connection.up, connection.down, stored), (true, submission().len(), 0, 1));
}

#[test]
fn nobody_listens_until_it_is_opened() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let proxy = Proxy::to(peer.port());
    for _ in 0..3 {
        proxy.set(&Plan::of(&[Fault::Refuse]));
        for _ in 0..2 {
            assert_eq!(send(&proxy).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        proxy.open();
        assert!(is_whole(&hear(&mut send(&proxy).unwrap()).0));
    }
    // After another.
    proxy.set(&Plan::of(&[Fault::HangUp, Fault::Refuse]));
    let _ = hear(&mut send(&proxy).unwrap());
    assert_eq!(send(&proxy).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    proxy.open();
    assert!(is_whole(&hear(&mut send(&proxy).unwrap()).0));
    assert_eq!((proxy.connections().len(), peer.stored().results.len()), (5, 4));
}

#[test]
fn a_hung_up_client_hears_nothing_and_the_server_neither() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let ((answer, end), connection, _) = submit(&peer, Fault::HangUp);
    assert!(answer.is_empty() && matches!(end, Ok(()) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    assert!(connection.met && peer.stored().requests.is_empty());
}

#[test]
fn a_stalled_client_waits_until_it_goes() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    for (fault, came, stored) in
        [(Fault::Stall(Direction::Up, 1000), 0, 0), (Fault::Stall(Direction::Down, 10), 10, 1)]
    {
        let proxy = Proxy::to(peer.port());
        proxy.set(&Plan::of(&[fault]));
        let mut stream = send(&proxy).unwrap();
        let mut answer = vec![0; came];
        stream.read_exact(&mut answer).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "{fault}");
        drop(stream);
        let connection = proxy.connections().remove(0);
        assert!(connection.met, "{connection}");
        peer.settle();
        assert_eq!(peer.stored().results.len(), stored, "{fault}");
    }
    let request = peer.stored().requests.remove(0);
    assert!(request["size"].as_u64() < request["promised"].as_u64(), "{request}");
}

#[test]
fn a_cut_request_is_not_stored_and_a_cut_answer_is() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let ((answer, end), connection, stored) = submit(&peer, Fault::CutRequest(1000));
    assert_eq!((&answer[..], end), (&b""[..], Ok(())), "{connection}");
    assert_eq!((connection.met, connection.up, connection.down, stored), (true, 1000, 0, 0));
    let request = peer.stored().requests.remove(0);
    assert!(request["fault"].as_str().unwrap().contains("ExpatError"), "it was told of the end: {request}");
    let ((answer, end), connection, stored) = submit(&peer, Fault::CutAnswer(20));
    assert_eq!((&answer[..], end), (&b"HTTP/1.0 200 OK\r\nSer"[..], Ok(())), "{connection}");
    assert_eq!((connection.met, connection.up, connection.down, stored), (true, submission().len(), 20, 1));
}

#[test]
fn drops_fall_to_the_end_or_until_the_client_goes() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let ((answer, end), connection, stored) =
        submit(&peer, Fault::Drip { bytes: 50, every: Duration::from_millis(1) });
    assert!(is_whole(&answer) && end == Ok(()) && connection.met, "{connection}");
    assert_eq!((connection.up, connection.down, stored), (submission().len(), answer.len(), 1));

    let proxy = Proxy::to(peer.port());
    proxy.set(&Plan::of(&[Fault::Drip { bytes: 1, every: Duration::from_millis(20) }]));
    send(&proxy).unwrap().shutdown(Shutdown::Both).unwrap();
    let connection = proxy.connections().remove(0);
    assert!(connection.up < submission().len(), "{connection}");
    peer.settle();
    assert_eq!(peer.stored().results.len(), 1);
}

#[test]
fn an_error_comes_before_the_server_or_after_it() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    for (handled, requests) in [(false, 0), (true, 1)] {
        let ((answer, end), connection, stored) = submit(&peer, Fault::Error { handled });
        assert!(answer.starts_with(b"HTTP/1.1 500 ") && end == Ok(()), "{connection}");
        assert_eq!((connection.met, connection.down, stored), (true, 0, requests));
        assert_eq!(peer.stored().requests.len(), requests);
    }
}

#[test]
fn what_a_plan_says_is_done_in_its_order() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let proxy = Proxy::to(peer.port());
    let faults = [Fault::Error { handled: true }, Fault::CutAnswer(20), Fault::Reset(Direction::Up, 5)];
    proxy.set(&Plan::of(&faults));
    for _ in 0..4 {
        let _ = hear(&mut send(&proxy).unwrap());
        let _ = proxy.connections();
    }
    let done: Vec<Fault> = proxy.connections().iter().map(|connection| connection.fault).collect();
    assert_eq!(done, [&faults[..], &[Fault::Pass]].concat());
    assert_eq!(peer.stored().results.len(), 3);
}
