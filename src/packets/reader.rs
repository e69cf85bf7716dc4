//! Reads bytes into the fields of a packet: what is there gets a name, and nothing that is not there is believed.

use super::{Builder, FieldKind, Packet};

/// Reads on from where it is. Whatever is not there in full is `None`, and nothing is read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    read: Vec<(usize, usize, String, FieldKind)>,
}

/// How far a reader had come.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    at: usize,
    fields: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, read: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, fields: self.read.len() }
    }

    /// Forgets what was read since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.at = mark.at;
        self.read.truncate(mark.fields);
    }

    pub(super) fn take(&mut self, name: &str, kind: FieldKind, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.read.push((self.at, end, name.to_owned(), kind));
        self.at = end;
        Some(bytes)
    }

    fn number(&mut self, name: &str, kind: FieldKind) -> Option<i32> {
        self.take(name, kind, 4)?.try_into().ok().map(i32::from_be_bytes)
    }

    pub(super) fn int(&mut self, name: &str) -> Option<i32> {
        self.number(name, FieldKind::Integer)
    }

    pub(super) fn opcode(&mut self, name: &str) -> Option<i32> {
        self.number(name, FieldKind::Opcode)
    }

    pub(super) fn length(&mut self, name: &str) -> Option<i32> {
        self.number(name, FieldKind::Length)
    }

    pub(super) fn long(&mut self, name: &str) -> Option<()> {
        self.take(name, FieldKind::Integer, 8).map(drop)
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<()> {
        self.take(name, FieldKind::Flag, 1).map(drop)
    }

    /// A text of jute; none at all, where its length is -1.
    pub(super) fn text(&mut self, name: &str) -> Option<()> {
        self.counted(name, FieldKind::Text)
    }

    /// The same of a buffer.
    pub(super) fn buffer(&mut self, name: &str) -> Option<()> {
        self.counted(name, FieldKind::Bytes)
    }

    fn counted(&mut self, name: &str, kind: FieldKind) -> Option<()> {
        match self.length(&format!("{name} length"))? {
            -1 => Some(()),
            length => self.take(name, kind, usize::try_from(length).ok()?).map(drop),
        }
    }

    /// All up to there, if anything.
    pub(super) fn rest(&mut self, name: &str, until: usize) -> Option<()> {
        match until.checked_sub(self.at)? {
            0 => Some(()),
            length => self.take(name, FieldKind::Bytes, length).map(drop),
        }
    }

    /// What was read.
    pub(super) fn done(self) -> Packet {
        let fields = self.read.into_iter();
        fields
            .fold(Builder::default(), |packet, (from, to, name, kind)| packet.field(name, kind, &self.bytes[from..to]))
            .build()
    }
}
