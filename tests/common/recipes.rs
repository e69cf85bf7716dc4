//! What the recipes of all services have to do alike, on real servers.

#![allow(dead_code, reason = "each test file uses its part of it")]

use std::time::{Duration, Instant};

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Guard, Hold, Op, Owner, Piece, Renewal, Wait};
use leasehold_workloads::service::{Certainty, Connect, LockService, OpError};

const PATIENCE: Duration = Duration::from_secs(30);

/// One client of its own.
struct Client {
    service: Box<dyn LockService>,
    process: u64,
    key: String,
    ttl: Duration,
}

impl Client {
    fn of(connect: &dyn Connect, process: u64, key: &str, ttl: Duration) -> Self {
        Self { service: connect.connect(process, 0), process, key: key.to_owned(), ttl }
    }

    async fn acquire(&mut self, wait: Wait) -> Result<Hold, OpError> {
        let owner = Owner { process: self.process, attempt: 1 };
        let op = Op::Acquire { key: self.key.clone(), owner, ttl: self.ttl, wait };
        match self.service.perform(&op).await? {
            Answer::Acquired(grant) => Ok(Hold { key: self.key.clone(), owner, ttl: self.ttl, grant }),
            other => panic!("{other:?}"),
        }
    }

    async fn permit(&mut self) -> Hold {
        let permit = tokio::time::timeout(PATIENCE, self.acquire(Wait::InQueue)).await;
        permit.expect("in time").unwrap_or_else(|error| panic!("{error}"))
    }

    async fn renew(&mut self, hold: &Hold) -> Result<Answer, OpError> {
        self.service.perform(&Op::Renew { hold: hold.clone(), how: Renewal::KeepAlive }).await
    }

    async fn release(&mut self, hold: &Hold) {
        let released = self.service.perform(&Op::Release { hold: hold.clone() }).await;
        assert_eq!(released, Ok(Answer::Released));
    }

    async fn holder(&mut self) -> Option<String> {
        match self.service.perform(&Op::Read { key: self.key.clone(), linearizable: true }).await {
            Ok(Answer::Holder(holder)) => holder,
            other => panic!("a read reads, and not {other:?}"),
        }
    }

    async fn write(&mut self, hold: &Hold) -> Result<Answer, OpError> {
        let guard = Guard::Service;
        self.service.perform(&Op::Work { hold: hold.clone(), piece: Piece::Write, base: None, guard }).await
    }
}

/// Of a semaphore with two permits: two have one, a third waits until one is given back, and a fourth until one that was left behind
/// has run out.
pub(crate) async fn two_permits(connect: &dyn Connect, key: &str, ttl: Duration) {
    let keys = [key.to_owned()];
    connect.prepare(&keys).await.expect("prepared");
    let [mut a, mut b, mut c, mut d] = [1, 2, 3, 4].map(|process| Client::of(connect, process, key, ttl));
    let never = a.acquire(Wait::Never).await.expect_err("it always waits");
    assert_eq!((never.certainty, never.code), (Certainty::DidNotHappen, "unsupported"));
    assert_eq!(a.holder().await, None);

    let (first, second) = (a.permit().await, b.permit().await);
    // Of several the one who came first.
    assert_eq!(b.holder().await.as_deref(), Some("p1.1"));
    assert!(first.grant.token.is_some() && first.grant.token < second.grant.token, "{first:?} {second:?}");
    assert!(matches!(a.renew(&first).await, Ok(Answer::Renewed { .. })));

    let ((third, given), released) = tokio::join!(async { (c.permit().await, Instant::now()) }, async {
        // For longer than the waiter would live if nobody kept it alive.
        let begun = Instant::now();
        while begun.elapsed() < ttl + ttl / 2 {
            tokio::time::sleep(ttl / 5).await;
            a.renew(&first).await.expect("it is held");
            b.renew(&second).await.expect("it is held");
        }
        let released = Instant::now();
        a.release(&first).await;
        released
    });
    assert!(given >= released && third.grant.token > second.grant.token, "{third:?}");

    // The second dies with its permit; the third lives.
    let left = Instant::now();
    b.renew(&second).await.expect("it is held");
    drop(b);
    let after_its_time = async {
        let (fourth, given) = (d.permit().await, Instant::now());
        d.release(&fourth).await;
        given
    };
    let (given, ()) = tokio::join!(after_its_time, async {
        while left.elapsed() < 2 * ttl {
            c.renew(&third).await.expect("it is held");
            tokio::time::sleep(ttl / 5).await;
        }
    });
    assert!(given.duration_since(left) >= ttl, "after {:?}", given.duration_since(left));
    c.release(&third).await;
    connect.leave(&keys).await.expect("it can be left");
}

/// A write on the condition that the lock is held is carried out for its holder and refused to whoever held it before.
pub(crate) async fn guarded_writes(connect: &dyn Connect, key: &str, ttl: Duration, wait: Wait) {
    let keys = [key.to_owned()];
    connect.prepare(&keys).await.expect("prepared");
    let [mut a, mut b] = [1, 2].map(|process| Client::of(connect, process, key, ttl));
    let first = a.acquire(wait).await.expect("a free lock");
    assert_eq!(a.write(&first).await, Ok(Answer::Worked { version: None }));
    let deadline = Instant::now() + PATIENCE;
    let second = loop {
        match b.acquire(wait).await {
            Ok(hold) => break hold,
            Err(error) if error.code == code::HELD => assert!(Instant::now() < deadline, "it never runs out"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let refused = a.write(&first).await.expect_err("its time is over");
    assert_eq!((refused.certainty, refused.code), (Certainty::DidNotHappen, code::NOT_HELD), "{refused}");
    assert_eq!(b.write(&second).await, Ok(Answer::Worked { version: None }));
    connect.leave(&keys).await.expect("it can be left");
}
