//! Getting the servers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use leasehold::servers::{Availability, FetchError, FetchOptions, ServerSpec, fetch, known};
use tempfile::TempDir;

use super::cluster::{packages, spec};

#[test]
fn two_runs_that_fetch_into_an_empty_cache_both_get_the_server() {
    let folder = TempDir::new().expect("a folder");
    let options = FetchOptions { cache: folder.path().join("new/cache"), packages: packages() };
    let state = |version: &str| {
        let server = known(&options).into_iter().find(|server| server.spec == spec(version));
        server.expect("it is known").availability
    };
    let expected = if options.packages.is_some() { Availability::Offline } else { Availability::Downloadable };
    assert_eq!(state("3.4.23"), expected);
    std::thread::scope(|scope| {
        let fetch = || fetch(&spec("3.4.23"), &options, &mut |_| ()).expect("a server");
        let [a, b] = [scope.spawn(fetch), scope.spawn(fetch)].map(|run| run.join().expect("no panic"));
        assert_eq!(a, b);
        assert_eq!(a.label, "etcd 3.4.23");
        let version = Command::new(a.path).arg("--version").env_clear().output().expect("it runs");
        assert!(String::from_utf8_lossy(&version.stdout).contains("3.4.23"), "{version:?}");
    });
    assert_eq!(state("3.4.23"), Availability::Cached);
    // What is cached needs no packages, and nothing else is left behind.
    let cached = FetchOptions { packages: None, ..options.clone() };
    fetch(&spec("3.4.23"), &cached, &mut |step| panic!("{step}")).expect("the cached server");
    let mut left: Vec<_> =
        fs::read_dir(&options.cache).expect("a cache").map(|entry| entry.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "etcd"]);
}

#[test]
fn a_fetch_that_was_cut_off_is_made_good_by_the_next() {
    let folder = TempDir::new().expect("a folder");
    let options = FetchOptions { cache: folder.path().to_owned(), packages: packages() };
    fs::create_dir_all(folder.path().join(".staging/unpacked/usr")).expect("what a killed run leaves behind");
    fs::create_dir_all(folder.path().join("etcd/3.4.23/usr/bin")).expect("a server without its program");
    let binary = fetch(&spec("3.4.23"), &options, &mut |_| ()).expect("a server");
    assert!(binary.path.is_file());
}

#[test]
fn a_package_that_is_not_what_it_should_be_is_refused() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("etcd-server_3.4.23-4+b4_amd64.deb"), "not a package").expect("written");
    let options = FetchOptions { cache: folder.path().join("cache"), packages: Some(folder.path().to_owned()) };
    let error = fetch(&spec("3.4.23"), &options, &mut |_| ()).expect_err("a wrong package");
    let FetchError::WrongHash { expected, found, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains(expected) && error.to_string().contains(found), "{error}");
    assert!(!options.cache.join("etcd").exists());
}

#[test]
fn an_unknown_server_is_answered_with_the_known_ones() {
    let options = FetchOptions { cache: PathBuf::new(), packages: None };
    let said = |text: &str| {
        let spec: ServerSpec = text.parse().expect("a spec");
        fetch(&spec, &options, &mut |_| ()).expect_err("an unknown server").to_string()
    };
    let text = said("etcd@3.5.17");
    assert!(text.contains("3.3.25, 3.4.23, 3.5.16, 3.5.30") && text.contains("the nearest is 3.5.16"), "{text}");
    assert!(said("etcd@latest").contains("known versions"));
    assert!(said("redis@7").contains("known: etcd"));
}

/// The archive may retire a package any day. Then the error must say so and what else there is.
#[test]
fn the_machines_package_manager_has_the_server_or_says_why_not() {
    let folder = TempDir::new().expect("a folder");
    let options = FetchOptions { cache: folder.path().to_owned(), packages: None };
    match fetch(&spec("3.4.23"), &options, &mut |step| eprintln!("{step}")) {
        Ok(binary) => assert!(binary.path.is_file()),
        Err(error @ (FetchError::Gone { .. } | FetchError::NoArchive { .. } | FetchError::Download { .. })) => {
            assert!(error.to_string().contains("3.4.23"), "{error}");
        }
        Err(error) => panic!("{error}"),
    }
}
