//! What a broken promise means to whoever relied on it, and what to do.

use leasehold_checkers::verdict::AnomalyKind;

/// Why it matters, in a sentence or two for somebody who is tired.
pub(super) fn of(kind: AnomalyKind) -> &'static str {
    match kind {
        AnomalyKind::DoubleAcquisition => {
            "Two clients each had the service's own word, over the same time, that the lock was theirs alone. Whatever it \
             protects was not protected then, unless the storage itself refuses writes with an old fencing token."
        }
        AnomalyKind::DoubleRun => {
            "The job itself ran twice at once, by the harness's own ledger: whatever the lock was for has happened. A fencing \
             token that the storage checks would have refused the late one."
        }
        AnomalyKind::PrematureExpiry => {
            "The time that the service had promised was not over, and the holder had not let go. Who trusts that time \
             works on without the lock. Have the storage check a fencing token."
        }
        AnomalyKind::Nonlinearizable => {
            "Whichever order the operations took effect in, some answer was wrong. Code that compares and sets, or reads \
             before it writes, cannot rely on what it was told."
        }
        AnomalyKind::PhantomGrant => "A client worked under a lock that it never had, while somebody else had it.",
        AnomalyKind::LostGrant => {
            "What the client was told and what the service knows differ. Either it was told no and had the lock, which nobody \
             gives back before its lease runs out; or it was told yes, and the service has forgotten, and gives the lock away."
        }
        AnomalyKind::Fencing => {
            "Storage that refuses old tokens lets a late write of an earlier holder through, or refuses the rightful one."
        }
        AnomalyKind::LockDelayBroken => {
            "The pause after a lost lock gives its last holder time to notice. The next holder began before that was over."
        }
        AnomalyKind::StaleRead => {
            "Who asks for the current holder was told of one that was gone, and may act on it: wait for nobody, or speak \
             to the wrong leader."
        }
        AnomalyKind::Divergence => {
            "Servers that should have the same data do not, and do not notice. What a client is told depends on whom it asks, and it \
             stays so until somebody repairs it by hand."
        }
        AnomalyKind::Lockup => {
            "Who asked there was not served, although nothing was broken any more. Alarms that watch the service's own health may \
             have stayed silent."
        }
        AnomalyKind::SplitBelief => {
            "The service broke no word. But a client that counts its TTL with care was still entitled to believe that it \
             held the lock when another already did. Guard writes with a fencing token."
        }
        AnomalyKind::OverdueExpiry => {
            "The lock of a holder that is gone was kept from everybody for longer than the service says it may be."
        }
    }
}
