//! The replies of a server in clear. The fuzz target `starttls` includes this file, so it uses nothing of the engine.

/// What has come of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The reply is complete and has this many bytes.
    Complete(usize),
    /// More bytes are needed.
    Incomplete,
    /// The reply does not begin as expected.
    Unexpected,
}

/// Finds the end of a reply that must begin with `expect`. The rest of its line belongs to it, and the lines that follow
/// a reply code with a hyphen (RFC 5321, section 4.2.1). If `is_exact`, nothing else belongs to it.
pub(crate) fn reply(received: &[u8], expect: &[u8], is_exact: bool) -> Reply {
    let mut len = 0;
    loop {
        let line = &received[len..];
        let known = line.len().min(expect.len());
        if line[..known] != expect[..known] {
            return Reply::Unexpected;
        }
        if known < expect.len() {
            return Reply::Incomplete;
        }
        let rest = &line[known..];
        let end = match rest.iter().position(|byte| *byte == b'\n') {
            _ if is_exact || expect.ends_with(b"\n") => known,
            Some(end) => known + end + 1,
            // A binary reply has no line end.
            None if expect.len() == 1 && rest.is_empty() || !is_text(expect) => line.len(),
            None => return Reply::Incomplete,
        };
        len += end;
        let is_code = expect.len() == 3 && expect.iter().all(u8::is_ascii_digit);
        if is_exact || !is_code || rest.first() != Some(&b'-') {
            return Reply::Complete(len);
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn a_reply_ends_with_its_line() {
        assert_eq!(reply(b"", b"220", false), Reply::Incomplete);
        assert_eq!(reply(b"22", b"220", false), Reply::Incomplete);
        assert_eq!(reply(b"220", b"220", false), Reply::Incomplete);
        assert_eq!(reply(b"220 ready\r", b"220", false), Reply::Incomplete);
        assert_eq!(reply(b"220 ready\r\n", b"220", false), Reply::Complete(11));
        assert_eq!(reply(b"220 ready\r\nMORE", b"220", false), Reply::Complete(11));
        assert_eq!(reply(b"421 busy\r\n", b"220", false), Reply::Unexpected);
        assert_eq!(reply(b"5", b"220", false), Reply::Unexpected);
        assert_eq!(reply(b"a OK\r\nx", b"a OK\r\n", false), Reply::Complete(6));
    }

    #[test]
    fn a_reply_of_several_lines_ends_with_the_last_one() {
        assert_eq!(reply(b"250-a\r\n", b"250", false), Reply::Incomplete);
        assert_eq!(reply(b"250-a\r\n250 STARTTLS\r\n", b"250", false), Reply::Complete(21));
        assert_eq!(reply(b"250-a\r\n5", b"250", false), Reply::Unexpected);
    }

    #[test]
    fn a_reply_without_a_line_ends_with_what_has_come() {
        assert_eq!(reply(b"S", b"S", false), Reply::Complete(1));
        assert_eq!(reply(b"N", b"S", false), Reply::Unexpected);
        assert_eq!(reply(b"Smore\n", b"S", true), Reply::Complete(1));
        assert_eq!(reply(b"250-a\r\n", b"250", true), Reply::Complete(3));
        assert_eq!(reply(b"J\0\0\x005.7.1\0", b"J\0\0\0", false), Reply::Complete(10));
    }

    proptest! {
        /// More bytes change no result but an incomplete one, and a complete reply ends where it says.
        #[test]
        fn a_reply_is_found_however_it_is_cut(
            received in vec(select(&b"250-4 \r\nS"[..]), 0..40),
            expect in select(vec![&b"250"[..], b"250 ", b"25", b"S", b"2\r\n"]),
            is_exact: bool,
        ) {
            let whole = reply(&received, expect, is_exact);
            if let Reply::Complete(len) = whole {
                prop_assert!(expect.len() <= len && len <= received.len());
            }
            for cut in 0..received.len() {
                match reply(&received[..cut], expect, is_exact) {
                    Reply::Incomplete => {}
                    // A single byte may be a reply of its own.
                    Reply::Complete(1) if expect.len() == 1 => {}
                    known => prop_assert_eq!(&known, &whole, "{}", cut),
                }
            }
        }
    }
}
