//! The first messages of PostgreSQL clients.

mod common;

use common::{Answer, begins_with_one_of, capture, damaged, found_at, is_settled, mismatch_at};
use proptest::prelude::*;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::postgres::{MAX_MESSAGE_SIZE, Message, Parameters, startup};

const CAPTURES: [&str; 3] = ["psql", "psql_ssl", "psql_ssl_refused"];
const SSL: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
const GSSENC: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";
const CANCEL: &[u8] = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\x30\x39\x01\x02\x03\x04";

fn bytes(name: &str) -> Vec<u8> {
    capture(&format!("postgres/{name}"))
}

fn is_encryption_request(message: &Message<'_>) -> bool {
    matches!(message, Message::SslRequest | Message::GssEncRequest)
}

/// Answers "incomplete" for a request for encryption, since it gives way to the next message.
fn answer(data: &[u8]) -> Answer {
    match startup(data) {
        Ok(found) if is_encryption_request(&found.message) => Err(SniffError::Incomplete),
        Ok(found) => Ok(format!("{found:?}")),
        Err(miss) => Err(miss),
    }
}

fn message(version: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &version.to_be_bytes(), content].concat()
}

fn parameters(data: &[u8]) -> Parameters<'_> {
    match startup(data).unwrap().message {
        Message::Startup(parameters) => parameters,
        other => panic!("{other:?}"),
    }
}

#[test]
fn captures_of_real_clients_are_parsed() {
    let psql = bytes("psql");
    let found = parameters(&psql);
    assert_eq!((found.user(), found.database(), found.minor_version), (&b"alice"[..], &b"shop"[..], 0));
    assert_eq!(found.get(b"application_name"), Some(&b"spec"[..]));
    assert_eq!(found.iter().count(), 3);

    assert_eq!(startup(&bytes("psql_ssl")).unwrap().message, Message::SslRequest);

    let refused = bytes("psql_ssl_refused");
    let found = startup(&refused).unwrap();
    assert_eq!((found.offset, found.size), (8, refused.len() - 8));
    assert_eq!(parameters(&refused).user(), b"alice");
}

#[test]
fn every_prefix_is_incomplete() {
    let psql = bytes("psql");
    found_at(&[&psql[..], b"more"].concat(), psql.len(), answer);
    found_at(&bytes("psql_ssl_refused"), bytes("psql_ssl_refused").len(), answer);
    found_at(&[SSL, GSSENC, &psql].concat(), 16 + psql.len(), answer);
    found_at(CANCEL, CANCEL.len(), answer);
}

#[test]
fn an_encryption_request_is_returned_until_a_byte_follows_it() {
    for (question, message) in [(SSL, Message::SslRequest), (GSSENC, Message::GssEncRequest)] {
        for cut in 0..question.len() {
            assert_eq!(startup(&question[..cut]), Err(SniffError::Incomplete));
        }
        let found = startup(question).unwrap();
        assert_eq!((found.message, found.offset, found.size), (message, 0, 8));
        assert_eq!(startup(&[question, b"\0"].concat()), Err(SniffError::Incomplete));
        assert_eq!(startup(&[question, b"\x16"].concat()), Err(SniffError::Mismatch), "that is TLS");
    }
    let both = [GSSENC, SSL].concat();
    assert_eq!(startup(&both).map(|found| (found.message, found.offset)), Ok((Message::SslRequest, 8)));
    assert_eq!(startup(&[SSL, SSL].concat()), Err(SniffError::Mismatch));
    assert_eq!(startup(&[SSL, GSSENC, SSL].concat()), Err(SniffError::Mismatch));
}

#[test]
fn the_database_defaults_to_the_user() {
    for content in [&b"user\0bob\0\0"[..], b"database\0\0user\0bob\0\0"] {
        assert_eq!(parameters(&message(0x3_0000, content)).database(), b"bob");
    }
}

#[test]
fn the_last_value_of_a_parameter_wins() {
    assert_eq!(parameters(&message(0x3_0000, b"user\0bob\0user\0eve\0\0")).user(), b"eve");
}

#[test]
fn values_may_be_any_bytes() {
    assert_eq!(parameters(&message(0x3_0002, b"user\0\xff\xe9\0\0")).user(), b"\xff\xe9");
}

#[test]
fn a_cancel_request_names_its_process() {
    let found = startup(CANCEL).unwrap().message;
    assert_eq!(found, Message::Cancel { process_id: 12_345, key: &[1, 2, 3, 4] });
    let long = message(0x04d2_162e, &[9; 260]);
    assert_eq!(startup(&long).unwrap().message, Message::Cancel { process_id: 0x0909_0909, key: &[9; 256] });
    assert_eq!(startup(&message(0x04d2_162e, &[9; 261])), Err(SniffError::Mismatch));
    assert_eq!(startup(&message(0x04d2_162e, &[9; 7])), Err(SniffError::Mismatch));
}

#[test]
fn malformed_messages_mismatch() {
    for content in [
        &b""[..],
        b"\0",
        b"user\0bob\0",
        b"user\0bob",
        b"user\0\0",
        b"user\0\0\0",
        b"user\0bob\0\0x",
        b"database\0shop\0\0",
        b"user\0bob\0name\0\0x\0",
    ] {
        assert_eq!(startup(&message(0x3_0000, content)), Err(SniffError::Mismatch), "{content:?}");
    }
    assert_eq!(startup(&message(0x04d2_162f, b"x")), Err(SniffError::Mismatch));
}

#[test]
fn other_protocols_mismatch_at_the_first_byte_that_differs() {
    begins_with_one_of(&[0], answer);
    mismatch_at(b"\0\x01", 2, answer);
    mismatch_at(b"\0\0\0\x07", 4, answer);
    mismatch_at(b"\0\0\x27\x11", 4, answer);
    mismatch_at(b"\0\0\0\x08\0\x02", 6, answer);
    mismatch_at(b"\0\0\0\x08\x04\xd2\x16\x31", 8, answer);
}

#[test]
fn a_message_has_a_bound() {
    let content = |size: usize| [b"user\0", &vec![b'a'; size - 15][..], b"\0\0"].concat();
    let longest = message(0x3_0000, &content(MAX_MESSAGE_SIZE));
    assert_eq!(longest.len(), MAX_MESSAGE_SIZE);
    assert_eq!(startup(&longest).unwrap().size, MAX_MESSAGE_SIZE);
    assert_eq!(startup(&message(0x3_0000, &content(MAX_MESSAGE_SIZE + 1))), Err(SniffError::Mismatch));
}

proptest! {
    #[test]
    fn any_bytes_have_one_result(data: Vec<u8>) {
        is_settled(&data, answer);
        is_settled(&message(0x3_0000, &data), answer);
    }

    #[test]
    fn damaged_messages_have_one_result(data in damaged(CAPTURES.map(bytes).to_vec())) {
        is_settled(&data, answer);
    }
}
