//! Sentences, some words of which are names.

use crate::report::words::one_line;

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether it is a name, such as a lock's.
    pub(super) is_name: bool,
}

/// A sentence, in pieces.
pub(super) type Prose = Vec<Piece>;

/// A sentence in which pairs of backticks enclose names. Where they do not come in pairs they are letters.
pub(super) fn prose(sentence: &str) -> Prose {
    const SENTENCE_MAX: usize = 600;
    let sentence = one_line(sentence, SENTENCE_MAX);
    let pieces: Vec<&str> = sentence.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return vec![Piece { text: sentence, is_name: false }];
    }
    let is_name = [false, true].into_iter().cycle();
    let piece = |(text, is_name): (&str, bool)| Piece { text: text.to_owned(), is_name };
    pieces.into_iter().zip(is_name).map(piece).filter(|piece| !piece.text.is_empty()).collect()
}

/// The same, as a sentence that begins with a capital and ends with a full stop.
pub(super) fn sentence(text: &str) -> Prose {
    let text = text.trim_end();
    let end = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    prose(&format!("{}{end}", capitalised(text)))
}

/// The same, with a capital at its beginning.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(prose: &Prose) -> Vec<(&str, bool)> {
        prose.iter().map(|piece| (piece.text.as_str(), piece.is_name)).collect()
    }

    #[test]
    fn pairs_of_backticks_enclose_names() {
        assert_eq!(shown(&prose("gave `jobs/1` away")), [("gave ", false), ("jobs/1", true), (" away", false)]);
        assert_eq!(shown(&prose("one ` only")), [("one ` only", false)]);
        assert_eq!(shown(&prose("")), []);
    }

    #[test]
    fn sentences_begin_and_end_as_they_should() {
        assert_eq!(shown(&sentence("process 1 held it")), [("Process 1 held it.", false)]);
        assert_eq!(shown(&sentence("ß…")), [("SS…", false)]);
    }
}
