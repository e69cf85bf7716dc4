//! What servers answer to requests.

use crate::packets::Reply;

/// What a reply to a request says, in a few words.
#[must_use]
pub fn in_words(reply: &Reply) -> String {
    /// The length of the frame, the number of the request, and that of the transaction.
    const ERROR_AT: usize = 4 + 4 + 8;
    let error =
        reply.answer.get(ERROR_AT..ERROR_AT + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
    match error {
        Some(0) => "done".to_owned(),
        Some(error) => match meaning(error) {
            Some(meaning) => format!("error {error}: {meaning}"),
            None => format!("error {error}"),
        },
        None if !reply.answer.is_empty() => format!("{} bytes that are no answer", reply.answer.len()),
        None if reply.closed => "closed the connection".to_owned(),
        None => "no answer".to_owned(),
    }
}

/// Of the errors that a malformed request is answered with.
fn meaning(error: i32) -> Option<&'static str> {
    Some(match error {
        -1 => "system error",
        -5 => "cannot be read",
        -6 => "not known",
        -8 => "bad arguments",
        -101 => "no such node",
        -110 => "the node exists",
        -115 => "authentication failed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_an_error_an_end_or_nothing() {
        let answer = [&[0, 0, 0, 16, 0, 0, 0x12, 0x34][..], &[0; 8], &(-5_i32).to_be_bytes()].concat();
        let said = |answer: &[u8], closed| in_words(&Reply { answer: answer.to_vec(), closed, ..Reply::default() });
        assert_eq!(said(&answer, false), "error -5: cannot be read");
        assert_eq!(said(&answer[..10], false), "10 bytes that are no answer");
        assert_eq!(said(&[], true), "closed the connection");
        assert_eq!(said(&[], false), "no answer");
    }
}
