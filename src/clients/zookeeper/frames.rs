//! The frames of ZooKeeper's protocol: a length in four bytes, and as many bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest frame that is let through. Servers take no longer ones themselves (`jute.maxbuffer`), and ours are tiny.
const LONGEST: usize = 1 << 20;

const LENGTH: usize = 4;

/// The number under which pings are asked and answered.
const PING_XID: i32 = -2;
const PING: i32 = 11;
const CLOSE: i32 = -11;
const CREATE: i32 = 1;
const GET_CHILDREN: [i32; 2] = [8, 12];
const REMOVE_WATCHES: i32 = 18;
/// No such watch is set.
const NO_WATCHER: i32 = -121;

/// A whole frame, with its length in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame(Vec<u8>);

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadFrame {
    /// No frame can be so long.
    #[error("a frame of {0} bytes was announced")]
    Length(i32),
    /// The connection ended in the middle of one.
    #[error("the connection ended in the middle of a frame")]
    Cut,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

impl Frame {
    fn of(parts: &[&[u8]]) -> Self {
        let body = parts.concat();
        let length = u32::try_from(body.len()).expect("our own frames are short");
        Self([length.to_be_bytes().as_slice(), &body].concat())
    }

    /// The answer to a ping.
    pub(super) fn pong() -> Self {
        Self::of(&[&PING_XID.to_be_bytes(), &0_i64.to_be_bytes(), &0_i32.to_be_bytes()])
    }

    /// The answer to a request to remove a watch that there is none.
    pub(super) fn no_watcher(xid: i32) -> Self {
        Self::of(&[&xid.to_be_bytes(), &0_i64.to_be_bytes(), &NO_WATCHER.to_be_bytes()])
    }

    /// A request that keeps the session alive and does nothing else.
    pub(super) fn ping() -> Self {
        Self::of(&[&PING_XID.to_be_bytes(), &PING.to_be_bytes()])
    }

    /// A request that ends the session.
    pub(super) fn close(xid: i32) -> Self {
        Self::of(&[&xid.to_be_bytes(), &CLOSE.to_be_bytes()])
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn body(&self) -> &[u8] {
        &self.0[LENGTH..]
    }

    fn number(&self, at: usize) -> Option<i32> {
        self.body().get(at..at + 4)?.try_into().ok().map(i32::from_be_bytes)
    }

    /// The session that a first request asks for: 0 for a new one.
    pub(super) fn session(&self) -> Option<i64> {
        self.body().get(16..24)?.try_into().ok().map(i64::from_be_bytes)
    }

    /// A first request that asks for another time-out.
    pub(super) fn asking_for(self, timeout_ms: i32) -> Self {
        self.with_number(12, timeout_ms)
    }

    /// The time-out that an answer to a first request grants; `None` where it grants no session.
    pub(super) fn granted_ms(&self) -> Option<u64> {
        let session = self.body().get(8..16).filter(|session| **session != [0; 8]);
        session.and(self.number(4)).and_then(|granted| u64::try_from(granted).ok())
    }

    /// An answer to a first request that tells of another time-out.
    pub(super) fn granting(self, timeout_ms: i32) -> Self {
        self.with_number(4, timeout_ms)
    }

    fn with_number(mut self, at: usize, number: i32) -> Self {
        if let Some(place) = self.0.get_mut(LENGTH + at..LENGTH + at + 4) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        self
    }

    /// Whether it is a ping, or the answer to one.
    pub(super) fn is_of_pings(&self) -> bool {
        self.xid() == Some(PING_XID)
    }

    /// The number that a request or its answer goes by.
    pub(super) fn xid(&self) -> Option<i32> {
        self.number(0)
    }

    /// Whether a request asks to remove a watch.
    pub(super) fn removes_a_watch(&self) -> bool {
        self.number(4) == Some(REMOVE_WATCHES)
    }

    /// Whether a request asks for a list of names.
    pub(super) fn asks_for_a_list(&self) -> bool {
        self.number(4).is_some_and(|operation| GET_CHILDREN.contains(&operation))
    }

    /// The path of the node that a request asks to make.
    pub(super) fn path_to_create(&self) -> Option<&[u8]> {
        (self.number(4) == Some(CREATE)).then(|| self.text(8)).flatten()
    }

    /// The path of the node that an answer says was made. One with a number begins with what was asked for.
    pub(super) fn created_path(&self) -> Option<&[u8]> {
        (self.number(12) == Some(0)).then(|| self.text(16)).flatten()
    }

    fn text(&self, at: usize) -> Option<&[u8]> {
        let length = usize::try_from(self.number(at)?).ok()?;
        self.body().get(at + 4..)?.get(..length)
    }

    /// Whether an answer says of its list that it is longer than it can be.
    pub(super) fn overstates_its_list(&self) -> bool {
        const HEADER: usize = 16;
        let succeeded = self.number(12) == Some(0);
        let most = self.body().len().saturating_sub(HEADER + 4) / 4;
        let count = self.number(HEADER).map(|count| usize::try_from(count).unwrap_or(0));
        succeeded && count.is_some_and(|count| count > most)
    }
}

/// Reads frames, and no more than one too long at a time.
pub(super) struct Frames<R> {
    reader: R,
    read: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn of(reader: R) -> Self {
        Self { reader, read: Vec::new() }
    }

    /// The next frame; `None` where the connection ended after the last. Nothing is lost where it is not waited for.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, BadFrame> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.reader.read_buf(&mut self.read).await? == 0 {
                return if self.read.is_empty() { Ok(None) } else { Err(BadFrame::Cut) };
            }
        }
    }

    fn take(&mut self) -> Result<Option<Frame>, BadFrame> {
        let Some(length) = self.read.first_chunk::<LENGTH>().copied().map(i32::from_be_bytes) else {
            return Ok(None);
        };
        let whole = usize::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or(BadFrame::Length(length))?;
        if self.read.len() < LENGTH + whole {
            return Ok(None);
        }
        let rest = self.read.split_off(LENGTH + whole);
        Ok(Some(Frame(std::mem::replace(&mut self.read, rest))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Frames<&[u8]> {
        Frames::of(bytes)
    }

    #[tokio::test]
    async fn frames_are_read_one_by_one() {
        let (ping, close) = (Frame::ping(), Frame::close(7));
        let both = [ping.bytes(), close.bytes()].concat();
        let mut frames = frames(&both);
        let first = frames.next().await.expect("a frame").expect("a frame");
        assert!(first.is_of_pings() && first == ping);
        let second = frames.next().await.expect("a frame").expect("a frame");
        assert!(!second.is_of_pings() && second.xid() == Some(7));
        assert_eq!(frames.next().await.expect("the end"), None);
    }

    #[tokio::test]
    async fn hostile_lengths_are_refused_before_anything_is_kept() {
        for length in [-1, i32::MIN, i32::MAX, 1 << 21] {
            let error = frames(&length.to_be_bytes()).next().await.expect_err("no frame");
            assert!(matches!(error, BadFrame::Length(told) if told == length), "{error}");
        }
        let error = frames(&[0, 0, 0, 9, 1]).next().await.expect_err("no frame");
        assert!(matches!(error, BadFrame::Cut), "{error}");
    }

    #[test]
    fn what_is_too_short_says_nothing() {
        for short in [vec![0, 0, 0, 0], vec![0, 0, 0, 3, 1, 2, 3]] {
            let frame = Frame(short);
            assert!(!frame.is_of_pings() && !frame.asks_for_a_list() && !frame.overstates_its_list());
            assert_eq!((frame.xid(), frame.session(), frame.granted_ms()), (None, None, None));
            assert_eq!(frame.clone().asking_for(7).granting(7), frame);
        }
    }

    #[test]
    fn time_outs_are_put_into_other_words() {
        let hello = Frame::of(&[&[0; 12], &2_000_i32.to_be_bytes(), &77_i64.to_be_bytes(), &[0; 21]]);
        let other = hello.clone().asking_for(400);
        assert_eq!((other.number(12), other.session()), (Some(400), Some(77)));
        let welcome = |session: i64| Frame::of(&[&[0; 4], &400_i32.to_be_bytes(), &session.to_be_bytes(), &[0; 20]]);
        assert_eq!(welcome(77).granted_ms(), Some(400));
        assert_eq!(welcome(77).granting(5_000).granted_ms(), Some(5_000));
        assert_eq!((welcome(0).granted_ms(), welcome(77).granting(-1).granted_ms()), (None, None));
    }

    #[test]
    fn a_list_has_as_many_names_as_fit() {
        let list = |count: i32, rest: &[u8]| Frame::of(&[&7_i32.to_be_bytes(), &[0; 12], &count.to_be_bytes(), rest]);
        assert!(!list(0, &[]).overstates_its_list());
        assert!(!list(1, &[0, 0, 0, 0]).overstates_its_list());
        assert!(list(2, &[0, 0, 0, 0]).overstates_its_list());
        assert!(list(i32::MAX, &[0; 64]).overstates_its_list());
    }
}
