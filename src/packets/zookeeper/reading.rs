//! Which of the requests in a row of bytes a server can read to their end.

use crate::packets::FieldKind;
use crate::packets::reader::Reader;

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const GET_ACL: i32 = 6;
const SET_ACL: i32 = 7;
const GET_CHILDREN: i32 = 8;
const SYNC: i32 = 9;
const GET_CHILDREN_2: i32 = 12;
const CHECK: i32 = 13;
const MULTI: i32 = 14;
const CREATE_2: i32 = 15;
const RECONFIGURE: i32 = 16;
const CHECK_WATCHES: i32 = 17;
const REMOVE_WATCHES: i32 = 18;
const CREATE_CONTAINER: i32 = 19;
const DELETE_CONTAINER: i32 = 20;
const CREATE_WITH_TTL: i32 = 21;
const AUTH: i32 = 100;
const SET_WATCHES: i32 = 101;
const CREATE_SESSION: i32 = -10;

/// The first request in these bytes that cannot be read, by what servers do with requests of its kind: all changes go the same way, and so do all
/// questions. `None` where each of them can. A server that does not know an opcode does not read what comes after it.
#[must_use]
pub fn unread_request(bytes: &[u8]) -> Option<&'static str> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((frame, behind)) = frame(rest) else { return Some("a frame") };
        let mut reader = Reader::of(frame);
        let head = reader.int("xid").and_then(|_| reader.opcode("opcode"));
        let Some(opcode) = head else { return Some("the head of a request") };
        if let Some(kind) = kind(opcode)
            && body(&mut reader, opcode).is_none()
        {
            return Some(kind);
        }
        rest = behind;
    }
    None
}

/// The same of a connection that begins with its handshake.
#[must_use]
pub fn unread_greeting(bytes: &[u8]) -> Option<&'static str> {
    let Some((greeting, behind)) = frame(bytes) else { return Some("a frame") };
    let mut reader = Reader::of(greeting);
    match handshake(&mut reader) {
        None => Some("a handshake"),
        Some(()) => unread_request(behind),
    }
}

/// The bytes of the first frame, and those behind it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, behind) = bytes.split_first_chunk()?;
    behind.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)
}

/// What servers of some release do with such requests; those from 16 to 21 are not known before 3.5.
fn kind(opcode: i32) -> Option<&'static str> {
    Some(match opcode {
        CREATE | CREATE_2 | CREATE_CONTAINER | CREATE_WITH_TTL | DELETE | DELETE_CONTAINER | SET_DATA | SET_ACL
        | MULTI | RECONFIGURE => "a change",
        EXISTS | GET_DATA | GET_ACL | GET_CHILDREN | GET_CHILDREN_2 | SYNC | SET_WATCHES | CHECK_WATCHES
        | REMOVE_WATCHES => "a question",
        AUTH => "auth",
        CHECK | CREATE_SESSION => "a request among servers",
        _ => return None,
    })
}

fn handshake(reader: &mut Reader<'_>) -> Option<()> {
    reader.int("protocol version")?;
    reader.long("last zxid seen")?;
    reader.int("timeout")?;
    reader.long("session")?;
    reader.buffer("password")
}

/// What comes after the opcode of a request.
pub(super) fn body(reader: &mut Reader<'_>, opcode: i32) -> Option<()> {
    match opcode {
        CREATE | CREATE_2 | CREATE_CONTAINER | CREATE_WITH_TTL => {
            reader.text("path")?;
            reader.buffer("data")?;
            acl(reader)?;
            reader.int("flags")?;
            if opcode == CREATE_WITH_TTL {
                reader.long("time to live")?;
            }
        }
        CHECK_WATCHES | REMOVE_WATCHES => {
            reader.text("path")?;
            reader.int("watch type")?;
        }
        RECONFIGURE => {
            reader.text("joining")?;
            reader.text("leaving")?;
            reader.text("members")?;
            reader.long("configuration")?;
        }
        DELETE | CHECK => {
            reader.text("path")?;
            reader.int("version")?;
        }
        EXISTS | GET_DATA | GET_CHILDREN | GET_CHILDREN_2 => {
            reader.text("path")?;
            reader.boolean("watch")?;
        }
        SET_DATA => {
            reader.text("path")?;
            reader.buffer("data")?;
            reader.int("version")?;
        }
        SET_ACL => {
            reader.text("path")?;
            acl(reader)?;
            reader.int("version")?;
        }
        GET_ACL | SYNC | DELETE_CONTAINER => reader.text("path")?,
        MULTI => parts(reader)?,
        AUTH => {
            reader.int("auth type")?;
            reader.text("scheme")?;
            reader.buffer("credentials")?;
        }
        SET_WATCHES => {
            reader.long("relative zxid")?;
            for kind in ["data watch", "exist watch", "child watch"] {
                let count = reader.length(&format!("{kind} count"))?;
                (0..count.max(0)).try_for_each(|_| reader.text(kind))?;
            }
        }
        CREATE_SESSION => drop(reader.int("timeout")?),
        _ => {}
    }
    Some(())
}

/// Requests behind heads of their own, up to one that says it is the last.
fn parts(reader: &mut Reader<'_>) -> Option<()> {
    loop {
        let opcode = reader.opcode("part opcode")?;
        let is_last = reader.take("part done", FieldKind::Flag, 1)? != [0];
        reader.int("part error")?;
        if is_last {
            return Some(());
        }
        // Others have no place in it, itself least of all.
        if ![CREATE, CREATE_2, DELETE, SET_DATA, CHECK].contains(&opcode) {
            return None;
        }
        body(reader, opcode)?;
    }
}

pub(super) fn acl(reader: &mut Reader<'_>) -> Option<()> {
    let count = reader.length("acl count")?;
    for _ in 0..count.max(0) {
        reader.int("acl permissions")?;
        reader.text("acl scheme")?;
        reader.text("acl id")?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::{Request, handshake as greeting};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_request_of_the_grammar_can_be_read_and_no_part_of_its_body() {
        for request in Request::ALL {
            let packet = request.packet();
            assert_eq!(unread_request(packet.bytes()), None, "{}", request.name());
            let greeted = [greeting(4_000).bytes(), packet.bytes()].concat();
            assert_eq!(unread_greeting(&greeted), None, "{}", request.name());
            const HEAD: usize = 12;
            for length in HEAD..packet.bytes().len() {
                let mut part = packet.clone();
                part.truncate(length);
                let part = super::super::reframed(part);
                assert_eq!(unread_request(part.bytes()), kind(request.opcode()), "{}", part.annotated());
            }
        }
    }

    #[test]
    fn what_cannot_be_read_goes_by_what_it_would_have_been() {
        let with = |request: Request, field: &str, bytes: &[u8]| {
            let mut packet = request.packet();
            let index = packet.find(field).expect("it has one");
            packet.overwrite(index, bytes);
            unread_request(packet.bytes())
        };
        let most = i32::MAX.to_be_bytes();
        assert_eq!(with(Request::Create, "path length", &most), Some("a change"));
        assert_eq!(with(Request::Multi, "path length", &most), Some("a change"));
        assert_eq!(with(Request::GetData, "path length", &most), Some("a question"));
        assert_eq!(with(Request::Auth, "scheme length", &most), Some("auth"));
        assert_eq!(with(Request::Check, "path length", &most), Some("a request among servers"));
        assert_eq!(with(Request::GetAcl, "opcode", &7_i32.to_be_bytes()), Some("a change"), "as it would set one");
        assert_eq!(with(Request::GetAcl, "opcode", &CREATE_CONTAINER.to_be_bytes()), Some("a change"));
        assert_eq!(with(Request::GetAcl, "opcode", &4_711_i32.to_be_bytes()), None, "nobody reads it");
        assert_eq!(with(Request::Create, "frame length", &most), Some("a frame"));
        assert_eq!(with(Request::Create, "data length", &(-1_i32).to_be_bytes()), Some("a change"));
        assert_eq!(with(Request::Create, "xid", &most), None, "a value");
        assert_eq!(unread_greeting(&[0, 0, 0, 2, 0, 0]), Some("a handshake"));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200, with in any::<u8>()) {
            let _ = (unread_request(&bytes), unread_greeting(&bytes));
            let mut spoilt = Request::Multi.packet().bytes().to_vec();
            let length = spoilt.len();
            spoilt[at % length] = with;
            let _ = unread_request(&spoilt);
        }
    }
}
