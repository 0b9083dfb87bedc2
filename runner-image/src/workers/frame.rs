//! The messages between a worker and its supervisor. Nothing that a worker says is trusted.
//!
//! Request: `length (4) id (8) body`; reply: `length (4) id (8) kind (1) body`; numbers are little-endian.

use bytes::{Buf, Bytes, BytesMut};
use dise_core::function::Limits;
use serde::{Deserialize, de::IgnoredAny};

use super::CallError;

const REPLY_HEADER: usize = 13;
/// What a reply may have beyond its output: a tail of what was printed, or the description of a failure.
const EXTRA: usize = 64 << 10;
/// Outputs below this are copied, lest one that is kept for long keeps the whole buffer.
const COPIED: usize = 16 << 10;

/// The header of a request.
pub(super) fn header(id: u64, body: usize) -> [u8; 12] {
    let mut header = [0; 12];
    header[..4].copy_from_slice(&u32::try_from(body).unwrap_or(u32::MAX).to_le_bytes());
    header[4..].copy_from_slice(&id.to_le_bytes());
    header
}

/// The body of a worker's first request.
pub(super) fn load(source: &str, limits: &Limits) -> Bytes {
    let mut body = Vec::with_capacity(source.len() + 8);
    body.extend(limits.output_bytes.to_le_bytes());
    body.extend(limits.printed_bytes.to_le_bytes());
    body.extend(source.as_bytes());
    body.into()
}

/// A well-formed reply.
#[derive(Debug)]
pub(super) enum Answer {
    /// `output` is JSON within the limit.
    Result { output: Bytes, printed: String },
    /// There is no result, for this reason.
    Failure(CallError),
}

/// Why bytes from a worker are no reply to the call that it is running.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They may come from the call before, whose reply was taken already.
    Surplus,
    /// They are a reply to no call at all: of the call before, or of the running one.
    Stray,
    /// They are malformed, and were sent by the running call.
    Malformed(String),
    /// The reply is larger than any may be.
    TooLarge,
}

/// The calls that a reply may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// The call that is running.
    pub(super) running: Option<u64>,
    /// The one before, which has its reply.
    pub(super) finished: Option<u64>,
}

/// Takes the reply to the running call off `inbox`, once it is complete.
pub(super) fn take(inbox: &mut BytesMut, turn: Turn, limits: &Limits) -> Result<Option<Answer>, Fault> {
    if inbox.is_empty() {
        return Ok(None);
    }
    let Some(expected) = turn.running else { return Err(Fault::Surplus) };
    if inbox.len() < REPLY_HEADER {
        return Ok(None);
    }
    let mut header = &inbox[..REPLY_HEADER];
    let (length, id, kind) = (header.get_u32_le() as usize, header.get_u64_le(), header.get_u8());
    if turn.finished == Some(id) {
        return Err(Fault::Surplus);
    }
    if id != expected {
        return Err(Fault::Stray);
    }
    if length > limits.output_bytes as usize + EXTRA {
        return Err(Fault::TooLarge);
    }
    if inbox.len() < REPLY_HEADER + length {
        inbox.reserve(REPLY_HEADER + length - inbox.len());
        return Ok(None);
    }
    inbox.advance(REPLY_HEADER);
    let body = if length < COPIED {
        let body = Bytes::copy_from_slice(&inbox[..length]);
        inbox.advance(length);
        body
    } else {
        inbox.split_to(length).freeze()
    };
    interpret(kind, body, limits).map(Some)
}

fn interpret(kind: u8, mut body: Bytes, limits: &Limits) -> Result<Answer, Fault> {
    let malformed = |what: &str| Fault::Malformed(what.to_owned());
    match kind {
        0 | 1 => {
            let mut printed = String::new();
            if kind == 1 {
                let length =
                    body.try_get_u32_le().map_err(|_| malformed("a reply that is cut off"))? as usize;
                if length > body.len() {
                    return Err(malformed("a reply that is cut off"));
                }
                printed = String::from_utf8_lossy(&body.split_to(length)).into_owned();
            }
            if body.len() > limits.output_bytes as usize {
                return Err(Fault::TooLarge);
            }
            serde_json::from_slice::<IgnoredAny>(&body)
                .map_err(|_| malformed("a result that is not JSON"))?;
            Ok(Answer::Result { output: body, printed })
        }
        2 => {
            let failure: Failure =
                serde_json::from_slice(&body).map_err(|_| malformed("a failure that is not described"))?;
            Ok(Answer::Failure(failure.into_error(limits)))
        }
        _ => Err(malformed("a reply of no known kind")),
    }
}

/// Why there is no result, in the words of the harness.
#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Failure {
    Source { line: Option<u32>, text: Option<String>, message: String },
    Raised { kind: String, message: String, traceback: String, printed: String },
    Forbidden { message: String, traceback: String },
    NotJson { path: String, message: String },
    Input { message: String },
    Printed { printed: String },
    Memory,
    Output,
}

impl Failure {
    fn into_error(self, limits: &Limits) -> CallError {
        match self {
            Self::Source { line, text, message } => CallError::SourceFault { line, text, message },
            Self::Raised { kind, message, traceback, printed } => {
                CallError::Raised { kind, message, traceback, printed }
            }
            Self::Forbidden { message, traceback } => CallError::Forbidden { message, traceback },
            Self::NotJson { path, message } => CallError::NotJson { location: path, message },
            Self::Input { message } => CallError::InputNotJson { message },
            Self::Printed { printed } => CallError::PrintedTooMuch { limit: limits.printed_bytes, printed },
            Self::Memory => CallError::Memory { mib: limits.memory_mib },
            Self::Output => CallError::OutputTooLarge { limit: limits.output_bytes },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(running: impl Into<Option<u64>>) -> Turn {
        Turn { running: running.into(), finished: Some(1) }
    }

    fn reply(id: u64, kind: u8, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::from(&header(id, body.len())[..]);
        bytes.extend([kind]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn takes_one_reply_and_leaves_the_next() {
        let mut inbox = reply(7, 0, b"[1]");
        inbox.extend(reply(8, 0, b"2"));
        let answer = take(&mut inbox, running(7), &Limits::default()).unwrap();
        assert!(matches!(answer, Some(Answer::Result { output, .. }) if output == "[1]"));
        assert_eq!(inbox, reply(8, 0, b"2"));
    }

    #[test]
    fn waits_for_a_reply_that_is_not_complete() {
        let whole = reply(7, 0, b"[1]");
        for length in 0..whole.len() {
            let mut inbox = BytesMut::from(&whole[..length]);
            assert!(take(&mut inbox, running(7), &Limits::default()).unwrap().is_none());
        }
    }

    #[test]
    fn refuses_what_is_no_reply_to_the_call() {
        let limits = Limits { output_bytes: 10, ..Limits::default() };
        let fault = |mut inbox: BytesMut, expected: Option<u64>| {
            take(&mut inbox, running(expected), &limits).unwrap_err()
        };
        assert_eq!(fault(reply(7, 0, b"1"), None), Fault::Surplus);
        assert_eq!(fault(reply(1, 0, b"1"), Some(7)), Fault::Surplus);
        assert_eq!(fault(reply(7, 0, b"1"), Some(8)), Fault::Stray);
        assert!(matches!(fault(reply(7, 0, b"{1}"), Some(7)), Fault::Malformed(_)));
        assert!(matches!(fault(reply(7, 1, b"\xff\xff\xff\xff1"), Some(7)), Fault::Malformed(_)));
        assert!(matches!(fault(reply(7, 2, b"{}"), Some(7)), Fault::Malformed(_)));
        assert!(matches!(fault(reply(7, 9, b"1"), Some(7)), Fault::Malformed(_)));
        assert_eq!(fault(reply(7, 0, b"12345678901"), Some(7)), Fault::TooLarge);
        assert_eq!(
            fault(BytesMut::from(&b"\xff\xff\xff\x7f\x07\0\0\0\0\0\0\0\0"[..]), Some(7)),
            Fault::TooLarge
        );
    }
}
