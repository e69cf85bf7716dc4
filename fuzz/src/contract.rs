//! What every reader of histories keeps to, whatever bytes it is given. A breach is a panic.
//!
//! The fuzz targets hold the readers to it, and so does a test of the checkers with bytes that are less far-fetched.

use std::io::BufReader;

use leasehold_checkers::formats::{Format, Keys, Options, Problem, Record, write_edn};
use leasehold_checkers::history::{History, header_to_line, to_line};

/// Reads the bytes in this format, or in the one that they seem to be in.
///
/// What can be read has no more events than bytes, is the same read bit by bit, and the same again once it was written as EDN. What
/// cannot be read gives an error that names the line, or is about the file as a whole.
pub fn reads_or_says_why_not(format: Option<Format>, bytes: &[u8]) {
    for keys in [Keys::Field, Keys::Pair] {
        let options = Options { format, keys };
        let whole = Record::from_reader(bytes, &options);
        let in_pieces = Record::from_reader(BufReader::with_capacity(7, bytes), &options);
        match (whole, in_pieces) {
            (Ok(whole), Ok(in_pieces)) => {
                assert_eq!(whole, in_pieces, "read in pieces");
                assert!(whole.events.len() <= bytes.len());
                assert_eq!(whole.events.len(), whole.lines.len());
                is_the_same_as_edn(&whole, keys);
            }
            (Err(whole), Err(in_pieces)) => {
                assert_eq!(whole.to_string(), in_pieces.to_string(), "read in pieces");
                let of_all = matches!(whole.problem, Problem::Empty | Problem::UnknownFormat | Problem::NoOps);
                let last_line = bytes.split(|byte| *byte == b'\n').count();
                assert!(of_all || whole.line.is_some_and(|line| (1..=last_line).contains(&line)), "{whole}");
            }
            (whole, in_pieces) => panic!("whole {whole:?}, in pieces {in_pieces:?}"),
        }
    }
}

/// In pairs only what has a key can be told from a value that is a pair.
fn is_the_same_as_edn(record: &Record, keys: Keys) {
    if record.events.is_empty() || keys == Keys::Pair && record.events.iter().any(|event| event.key.is_none()) {
        return;
    }
    let mut written = Vec::new();
    write_edn(&record.events, keys, &mut written).expect("memory takes it");
    let options = Options { format: Some(Format::JepsenEdn), keys };
    let again = Record::from_reader(written.as_slice(), &options);
    match again {
        Ok(again) => assert_eq!(again.events, record.events, "{}", String::from_utf8_lossy(&written)),
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&written)),
    }
}

/// Reads the bytes as a history of ours and judges it: the same once it was written and read again.
pub fn judges_or_says_why_not(bytes: &[u8]) {
    let history = match History::from_reader(bytes) {
        Ok(history) => history,
        Err(error) => {
            let is_empty = matches!(error.problem, leasehold_checkers::formats::Problem::Empty);
            assert!(is_empty || error.line.is_some(), "{error}");
            return;
        }
    };
    let judgement = leasehold_checkers::check(&history);
    let lines: String = history.events.iter().map(|event| to_line(event) + "\n").collect();
    let file = header_to_line(&history.header) + "\n" + &lines;
    let again = History::from_reader(file.as_bytes()).expect("what was written can be read");
    assert_eq!(again.events, history.events);
    let again = leasehold_checkers::check(&again);
    assert_eq!((again.verdict, again.anomalies), (judgement.verdict, judgement.anomalies));
}
