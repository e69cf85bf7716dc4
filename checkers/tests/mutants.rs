//! Every reader keeps to the contract of the fuzz targets on histories that were damaged a little, from seeds: the same
//! mutants in every run of the tests.

#[path = "../../fuzz/src/contract.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets share it")]
mod contract;
#[path = "support/random.rs"]
#[allow(unreachable_pub, dead_code, reason = "other tests share it in a module")]
mod random;

use std::path::Path;

use leasehold_checkers::formats::{Format, Keys, to_edn};
use leasehold_checkers::history::{Event, History, header_to_line, to_line};
use random::Random;

const MUTANTS: u64 = 10_000;

/// The first events of each history of the fixtures that can be read.
fn histories() -> Vec<History> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/histories");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|file| file.expect("it can be listed").path())
        .collect();
    files.sort();
    let mut histories: Vec<History> = files.iter().filter_map(|file| History::read(file).ok()).collect();
    histories.iter_mut().for_each(|history| history.events.truncate(12));
    histories
}

fn joined(history: &History, line: impl Fn(&Event) -> String, between: &str) -> Vec<u8> {
    history.events.iter().map(line).collect::<Vec<_>>().join(between).into_bytes()
}

/// Bytes that mean something to one reader or another.
const PIECES: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"\"",
    b"\\",
    b"\n",
    b"\t",
    b":",
    b",",
    b";",
    b"#_",
    b"#:a",
    b"nil",
    b"null",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"\xff",
    b"\\u0000",
    b"\"owner\":",
    b":value ",
];

fn mutant(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.of(1..6) {
        let at = random.of(0..bytes.len() as u64 + 1) as usize;
        let until = (at + random.of(0..24) as usize).min(bytes.len());
        match random.of(0..6) {
            0 => drop(bytes.drain(at..until)),
            1 => {
                let again = bytes[at..until].to_vec();
                let to = random.of(0..bytes.len() as u64 + 1) as usize;
                bytes.splice(to..to, again);
            }
            2 => bytes.truncate(at.max(1)),
            3 if at < bytes.len() => bytes[at] = random.next() as u8,
            4 if at < bytes.len() => bytes[at] ^= 1 << random.of(0..8),
            _ => {
                let piece = PIECES[random.of(0..PIECES.len() as u64) as usize];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

/// Reads so many mutants of the seeds.
fn each_mutant(seeds: &[Vec<u8>], read: impl Fn(&[u8])) {
    for number in 0..MUTANTS {
        let mut random = Random(number.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let seed = &seeds[random.of(0..seeds.len() as u64) as usize];
        read(&mutant(&mut random, seed));
    }
}

#[test]
fn of_our_own_format() {
    let whole = |history: &History| {
        let mut file = header_to_line(&history.header).into_bytes();
        file.push(b'\n');
        file.extend(joined(history, to_line, "\n"));
        file
    };
    let seeds: Vec<Vec<u8>> = histories().iter().map(whole).collect();
    each_mutant(&seeds, |bytes| {
        contract::reads_or_says_why_not(Some(Format::Leasehold), bytes);
        contract::judges_or_says_why_not(bytes);
    });
}

#[test]
fn of_edn() {
    let fields = histories();
    let as_edn = |keys| move |history: &History| joined(history, |event| to_edn(event, 0, keys), "\n");
    let seeds: Vec<Vec<u8>> =
        fields.iter().map(as_edn(Keys::Field)).chain(fields.iter().map(as_edn(Keys::Pair))).collect();
    each_mutant(&seeds, |bytes| contract::reads_or_says_why_not(Some(Format::JepsenEdn), bytes));
    each_mutant(&seeds, |bytes| contract::reads_or_says_why_not(None, bytes));
}

#[test]
fn of_logs() {
    let log = "2014-11-30 21:12:25,870{GMT} INFO  [jepsen worker 3] jepsen.util - 3\t:invoke\t:cas\t[1 2]\n\
        INFO  jepsen.util - 0\t:ok\t:read\tnil\nINFO  something else\nINFO  jepsen.util - 3\t:info\t:cas\t:timed-out\n\
        INFO  jepsen.util - :nemesis\t:info\t:start\t\"cut off\"\nINFO  jepsen.util - 1\t:fail\t:write\t4\n";
    each_mutant(&[log.as_bytes().to_vec()], |bytes| {
        contract::reads_or_says_why_not(Some(Format::JepsenLog), bytes);
        contract::reads_or_says_why_not(None, bytes);
    });
}

#[test]
fn of_key_value_text() {
    let text = "{:process 0, :type :invoke, :f :append, :key \"8\", :value \"x 0 0 y\"}\n\
        {:process 1, :type :invoke, :f :get, :key \"8\", :value nil}\n\
        {:process 0, :type :ok, :f :append, :key \"8\", :value \"x 0 0 y\"}\n\
        {:process 1, :type :ok, :f :get, :key \"8\", :value \"x 0 0 y\"}\n";
    each_mutant(&[text.as_bytes().to_vec()], |bytes| {
        contract::reads_or_says_why_not(Some(Format::Porcupine), bytes);
        contract::reads_or_says_why_not(None, bytes);
    });
}

#[test]
fn of_lock_json() {
    let json = r#"[{"f":"lock","process":3,"time":7,"type":"invoke","value":"bob"},
        {"f":"lock","process":3,"query-params":"n1,bob","time":8,"type":"ok","value":"LockRefreshToken [tokenId=1]"},
        {"f":"refresh","process":3,"time":9,"type":"invoke","value":"LockRefreshToken [tokenId=1]"},
        {"f":"refresh","process":3,"query-params":["LockRefreshToken [tokenId=1]"],"time":10,"type":"ok","value":[]},
        {"error":"timed out","f":"unlock","process":4,"time":11,"type":"info","value":null}]"#;
    each_mutant(&[json.as_bytes().to_vec()], |bytes| {
        contract::reads_or_says_why_not(Some(Format::AtlasDb), bytes);
        contract::reads_or_says_why_not(None, bytes);
    });
}
