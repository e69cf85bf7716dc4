//! The adapters and probes for etcd against real servers, on loopback addresses of their own.
//!
//! They need the servers: a machine that cannot get them cannot pass.

#[path = "../common/recipes.rs"]
mod recipes;
#[path = "../common/servers.rs"]
mod servers;

mod both;
mod cluster;
mod fetching;
mod given_up;
mod operations;
mod probes;
mod v2;
mod v3;

/// Each of these tests on a version from before etcd 3.5 and on one from after it.
macro_rules! on_both_versions {
    ($($room:ident: $($test:ident),+;)*) => {
        mod etcd_3_4_23 { $($(#[test] fn $test() { super::cluster::run(super::$room::$test("3.4.23")); })+)* }
        mod etcd_3_5_30 { $($(#[test] fn $test() { super::cluster::run(super::$room::$test("3.5.30")); })+)* }
    };
}

on_both_versions! {
    v2:
        a_v2_lock_goes_from_hand_to_hand,
        a_v2_lock_expires,
        a_v2_watch_tells_how_a_hold_ended,
        a_v2_key_that_expires_late_is_understood;
    v3:
        a_v3_lock_goes_from_hand_to_hand,
        a_v3_lock_expires,
        a_v3_watch_tells_that_a_hold_ended,
        a_semaphore_has_as_many_holders_as_permits,
        waiters_of_the_lock_service_queue_up,
        a_waiter_whose_lease_ran_out,
        a_waiter_that_gives_up_leaves_the_queue,
        registers_are_read_written_and_swapped,
        candidates_of_the_election_queue_up,
        a_guarded_write_is_refused_to_whoever_lost_the_lock;
    both:
        a_server_that_dies_with_a_request_leaves_it_unknown;
    probes:
        probes_follow_the_leader;
}
