//! Real processes with moved clocks. The program under test is mostly this test binary itself, in another mode: Rust's
//! and C's calls for the time go through the vDSO, and nothing has to be installed.

mod behaviour;
mod etcd;
mod probe;
mod program;
mod storm;
