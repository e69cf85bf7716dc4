//! Whether all servers hold the same (S9).
//!
//! Servers carry out the same decisions in the same order, but not at the same time. So where they hold different data a write is waited for
//! until every server shows it: then each has carried out all that was decided before. From then on nobody writes, and they are looked at
//! again and again. What is still on its way, or a lease that runs out, makes them agree or changes what one of them holds. Only if none
//! of them changed for all that time, and they go on to differ after one more write that every one of them shows, it is said of them.

use std::time::Duration;

use super::FuzzError;
use crate::servers::Contents;

/// From one look at the servers to the next.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Servers that differ for so many looks without any change differ: 15 s.
const LOOKS: u32 = 150;

/// So many after the second write.
const LOOKS_AFTER: u32 = 20;

/// If they change again and again, it is given up after so many.
const MOST_LOOKS: u32 = 4 * LOOKS;

/// Or after so many in a row at which one of them did not tell: each of those may take seconds.
const MOST_SILENT_LOOKS: u32 = 5;

/// How much of one thing that a server holds is told.
const LONGEST: usize = 160;
/// Of how many.
const MOST_TOLD: usize = 3;

/// The servers, as they can be compared.
pub(super) trait Replicas {
    /// What each of them holds by itself, in their order; `None` where one does not tell.
    async fn contents(&mut self) -> Option<Vec<Contents>>;

    /// Writes, and waits until each of them shows that by itself. Whether they do.
    async fn catch_up(&mut self) -> Result<bool, FuzzError>;

    /// Waits from one look to the next.
    async fn wait(&mut self);
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// All hold the same.
    Same,
    /// They go on to differ. Of each, some of what it holds and another does not.
    Different(Vec<Vec<String>>),
    /// One does not tell what it holds, does not show what was written, or goes on to change.
    Unknown,
}

/// Compares them.
pub(super) async fn compared(replicas: &mut impl Replicas) -> Result<Compared, FuzzError> {
    match replicas.contents().await {
        None => return Ok(Compared::Unknown),
        Some(contents) if is_same(&contents) => return Ok(Compared::Same),
        Some(_) => {}
    }
    let mut last = Compared::Unknown;
    for looks in [LOOKS, LOOKS_AFTER] {
        if !replicas.catch_up().await? {
            return Ok(Compared::Unknown);
        }
        last = held_still(replicas, looks).await;
        if !matches!(last, Compared::Different(_)) {
            break;
        }
    }
    Ok(last)
}

/// Looks at them until they agree, or were seen so often to differ while none of them changed.
async fn held_still(replicas: &mut impl Replicas, looks: u32) -> Compared {
    let mut seen: Option<Vec<Contents>> = None;
    let (mut times, mut silent) = (0, 0);
    for _ in 0..MOST_LOOKS {
        replicas.wait().await;
        let now = replicas.contents().await;
        if now.as_deref().is_some_and(is_same) {
            return Compared::Same;
        }
        times = if now.is_some() && now == seen { times + 1 } else { 0 };
        silent = if now.is_some() { 0 } else { silent + 1 };
        if silent == MOST_SILENT_LOOKS {
            break;
        }
        seen = now;
        if times >= looks
            && let Some(contents) = &seen
        {
            return Compared::Different(different(contents));
        }
    }
    Compared::Unknown
}

fn is_same(contents: &[Contents]) -> bool {
    contents.windows(2).all(|two| two[0] == two[1])
}

/// What each holds that not all of them hold.
fn different(contents: &[Contents]) -> Vec<Vec<String>> {
    let is_of_all = |one: &&String| contents.iter().all(|other| other.contains(*one));
    let told = |own: &Contents| {
        let few = own.iter().filter(|one| !is_of_all(one)).take(MOST_TOLD);
        few.map(|one| one.chars().take(LONGEST).collect()).collect()
    };
    contents.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replicas that hold what a script says of each look. Its last line goes on.
    struct Scripted {
        looks: Vec<Option<[&'static str; 3]>>,
        looked: usize,
        /// What is shown of the first write, the second.
        shows: Vec<bool>,
        writes: usize,
        /// At which look each write came.
        written_at: Vec<usize>,
    }

    impl Scripted {
        fn new(looks: &[Option<[&'static str; 3]>]) -> Self {
            Self { looks: looks.to_vec(), looked: 0, shows: vec![true, true], writes: 0, written_at: Vec::new() }
        }

        async fn compared(&mut self) -> Compared {
            compared(self).await.expect("no errors")
        }
    }

    impl Replicas for Scripted {
        async fn contents(&mut self) -> Option<Vec<Contents>> {
            let now = self.looks[self.looked.min(self.looks.len() - 1)];
            self.looked += 1;
            let held = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
            now.map(|all| all.map(held).to_vec())
        }

        async fn catch_up(&mut self) -> Result<bool, FuzzError> {
            self.writes += 1;
            self.written_at.push(self.looked);
            Ok(self.shows[self.writes - 1])
        }

        async fn wait(&mut self) {}
    }

    const SAME: Option<[&str; 3]> = Some(["a b", "a b", "a b"]);
    const LATE: Option<[&str; 3]> = Some(["a b", "a", "a b"]);

    #[tokio::test]
    async fn who_holds_the_same_is_looked_at_once_and_nothing_is_written() {
        let mut replicas = Scripted::new(&[SAME]);
        assert_eq!(replicas.compared().await, Compared::Same);
        assert_eq!((replicas.looked, replicas.writes), (1, 0));
    }

    #[tokio::test]
    async fn who_goes_on_to_differ_is_told_and_by_what() {
        let mut replicas = Scripted::new(&[LATE]);
        let expected = [vec!["b".to_owned()], vec![], vec!["b".to_owned()]];
        assert_eq!(replicas.compared().await, Compared::Different(expected.to_vec()));
        // For 15 s nobody has written anything.
        assert_eq!(replicas.written_at, [1, 2 + LOOKS as usize]);
        assert!(BETWEEN_LOOKS * LOOKS >= Duration::from_secs(15));
    }

    #[tokio::test]
    async fn who_catches_up_in_time_is_not_accused() {
        for looks in [1, 2, LOOKS as usize, LOOKS as usize + 2, (LOOKS + LOOKS_AFTER) as usize + 2] {
            let mut script = vec![LATE; looks];
            script.push(SAME);
            assert_eq!(Scripted::new(&script).compared().await, Compared::Same, "{looks}");
        }
    }

    #[tokio::test]
    async fn who_does_not_show_what_was_written_is_not_accused() {
        for shows in [[false, true], [true, false]] {
            let mut replicas = Scripted { shows: shows.to_vec(), ..Scripted::new(&[LATE]) };
            assert_eq!(replicas.compared().await, Compared::Unknown);
        }
    }

    #[tokio::test]
    async fn who_goes_on_to_change_is_not_accused() {
        let other = Some(["a b c", "a c", "a b c"]);
        let script: Vec<_> = (0..5 * MOST_LOOKS).map(|look| if look % LOOKS == 0 { other } else { LATE }).collect();
        assert_eq!(Scripted::new(&script).compared().await, Compared::Unknown);
        // Once it stands still it is seen.
        let mut calm = script[..LOOKS as usize + 10].to_vec();
        calm.push(LATE);
        assert!(matches!(Scripted::new(&calm).compared().await, Compared::Different(_)));
    }

    #[tokio::test]
    async fn who_does_not_tell_is_not_accused() {
        assert_eq!(Scripted::new(&[None]).compared().await, Compared::Unknown);
        let mut silent_now_and_then = vec![LATE, LATE, None];
        silent_now_and_then = silent_now_and_then.repeat(2 * MOST_LOOKS as usize);
        assert_eq!(Scripted::new(&silent_now_and_then).compared().await, Compared::Unknown);
        let mut silent_for_good = Scripted::new(&[LATE, None]);
        assert_eq!(silent_for_good.compared().await, Compared::Unknown);
        assert_eq!(silent_for_good.looked, 1 + MOST_SILENT_LOOKS as usize);
    }

    #[test]
    fn of_what_differs_a_little_is_told() {
        let held = |words: &[String]| words.iter().cloned().collect::<Contents>();
        let many: Vec<String> = (0..9).map(|number| format!("{number}{}", "x".repeat(900))).collect();
        let told = different(&[held(&many), held(&many[..1])]);
        assert_eq!((told[0].len(), told[1].len(), told[0][0].len()), (MOST_TOLD, 0, LONGEST));
        assert!(told[0][0].starts_with('1'), "what both hold is left out");
    }
}
