//! The one netlink request that the sandbox makes: a new link.

use std::io;

const HEADER: usize = size_of::<libc::nlmsghdr>();

/// Attributes start at multiples of four.
const ALIGNMENT: usize = 4;

/// A request in the making.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// The request for a new link, to be acknowledged.
    pub(super) fn new_link() -> Self {
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&0_u32.to_ne_bytes()); // The length, which `finish` fills in.
        bytes.extend_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]); // Sequence and sender: there is one request on the socket.
        Self(bytes).any_link()
    }

    /// An `ifinfomsg` that leaves everything about the link to the attributes that follow.
    pub(super) fn any_link(mut self) -> Self {
        self.0.extend_from_slice(&[0; size_of::<libc::ifinfomsg>()]);
        self
    }

    /// An attribute that is a text.
    pub(super) fn text(self, kind: u16, text: &str) -> Self {
        let terminated: Vec<u8> = text.bytes().chain([0]).collect();
        self.bytes(kind, &terminated)
    }

    /// An attribute that is bytes.
    pub(super) fn bytes(self, kind: u16, payload: &[u8]) -> Self {
        self.nested(kind, |mut inner| {
            inner.0.extend_from_slice(payload);
            inner
        })
    }

    /// An attribute that is made of others.
    pub(super) fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        let mut whole = fill(self);
        let length = (whole.0.len() - start) as u16;
        whole.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        let padded = whole.0.len().next_multiple_of(ALIGNMENT);
        whole.0.resize(padded, 0);
        whole
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Reads the kernel's answer to a request: zero, or a negated errno.
pub(super) fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let code = answer.get(HEADER..HEADER + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(kind), Some(0)) if i32::from(kind) == libc::NLMSG_ERROR => Ok(()),
        (Some(kind), Some(code)) if i32::from(kind) == libc::NLMSG_ERROR => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, acknowledged};

    #[test]
    fn attributes_nest_with_their_lengths_and_padding() {
        let message = Message::new_link().nested(18, |info| info.text(1, "veth")).finish();
        let attributes = &message[32..];
        assert_eq!(message.len(), usize::from(message[0]));
        let expected = [
            &16_u16.to_ne_bytes()[..],
            &18_u16.to_ne_bytes(),
            &9_u16.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            b"veth\0\0\0\0",
        ];
        assert_eq!(attributes, expected.concat());
    }

    #[test]
    fn answers_are_read() {
        let answer = |code: i32| {
            let head = [&36_u32.to_ne_bytes()[..], &2_u16.to_ne_bytes(), &[0; 10]].concat();
            [head, code.to_ne_bytes().to_vec(), vec![0; 16]].concat()
        };
        assert!(acknowledged(&answer(0)).is_ok());
        assert_eq!(acknowledged(&answer(-libc::EPERM)).expect_err("refused").raw_os_error(), Some(libc::EPERM));
        assert!(acknowledged(&[1, 2, 3]).is_err());
    }
}
