//! `leasehold servers`.

use clap::Args;
use leasehold_checkers::contract::Contract;

use super::connect::contract;
use super::terminal::{lines, say};
use super::{Exit, Failure, OrExit};
use crate::scenario::Service;
use crate::servers::{FetchOptions, known};

/// What to list.
#[derive(Debug, Args)]
pub(super) struct ServersArguments {
    /// List instead what each service promises about its locks and leases, by which it is judged.
    #[arg(long)]
    contracts: bool,
}

pub(super) fn servers(arguments: &ServersArguments) -> Result<Exit, Failure> {
    let text = if arguments.contracts {
        Service::ALL.into_iter().map(|service| in_words(&contract(service))).collect::<Vec<_>>().join("\n")
    } else {
        listing(&FetchOptions::from_environment().or_exit(Exit::Unavailable)?)
    };
    say(&text)?;
    Ok(Exit::Valid)
}

/// The servers that can be fetched, and where each would come from.
pub(super) fn listing(options: &FetchOptions) -> String {
    let servers = known(options);
    let width = servers.iter().map(|server| server.spec.to_string().len()).max().unwrap_or(0);
    let lines = servers.into_iter().map(|server| {
        let state = server.availability.in_words();
        format!("{:width$}  {state}\n", server.spec.to_string())
    });
    lines.collect()
}

/// A contract, a line for each promise.
fn in_words(contract: &Contract) -> String {
    let promises = [
        ("a lease lasts", at_least(contract)),
        ("it has ended", at_most(contract)),
        ("a renewal counts", counted(contract)),
        ("fencing token", tokens(contract)),
        ("lock-delay", lock_delay(contract)),
        ("source", contract.source.clone()),
    ];
    let mut text = format!("{}\n", contract.service);
    for (what, promise) in promises {
        text.push_str(&entry(what, &promise));
    }
    text
}

fn at_least(contract: &Contract) -> String {
    let at_least = match contract.early_slack_ms {
        0 => "for its TTL at least".to_owned(),
        slack_ms => format!("for its TTL less {} at least", seconds(slack_ms)),
    };
    if contract.ends_with_its_server {
        return format!(
            "{at_least}, and no longer than the server over which it was made is well: it may end with that one"
        );
    }
    at_least
}

fn at_most(contract: &Contract) -> String {
    let Some(latest) = &contract.latest_expiry else {
        return "at a time that is not promised: it is measured, and nobody is accused".to_owned();
    };
    let anew = if latest.restarts_at_leader_change { "; each new leader counts it anew" } else { "" };
    let ttls = if latest.ttls > 1 { format!("{} TTLs", latest.ttls) } else { "its TTL".to_owned() };
    format!("{} after {ttls} at the latest while the cluster serves{anew}", seconds(latest.grace_ms))
}

fn counted(contract: &Contract) -> String {
    if let Some(hearsay) = &contract.second_hand {
        return format!(
            "from when it takes effect, if nothing disturbed the cluster from {} before to {} after it; else not at all, for \
             the server that answers may not be the one that keeps the leases",
            seconds(hearsay.out_of_touch_for_ms),
            seconds(hearsay.known_within_ms)
        );
    }
    if contract.counts_from_request {
        "from when a server received it, so that one that takes effect late may bring the end forward".to_owned()
    } else {
        "from when it takes effect".to_owned()
    }
}

fn tokens(contract: &Contract) -> String {
    let tokens = if contract.fencing_tokens { "a number that grows with each grant of a lock" } else { "none" };
    tokens.to_owned()
}

fn lock_delay(contract: &Contract) -> String {
    match contract.lock_delay_ms {
        None => "none: a lock that is lost is free at once".to_owned(),
        Some(delay_ms) => {
            format!(
                "{} after a lock was lost without a release nobody is given it; that is the default",
                seconds(delay_ms)
            )
        }
    }
}

fn seconds(ms: u64) -> String {
    let (whole, rest) = (ms / 1000, ms % 1000);
    if rest == 0 { format!("{whole} s") } else { format!("{} s", format!("{whole}.{rest:03}").trim_end_matches('0')) }
}

/// A name and what is told of it, on lines that fit a terminal.
fn entry(name: &str, text: &str) -> String {
    const NAME: usize = 18;
    const WIDTH: usize = 80;
    let mut told = String::new();
    for (index, line) in lines(text, WIDTH).iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        told.push_str(&format!("  {name:NAME$}{line}\n"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_tells_every_promise_in_lines_that_fit() {
        for service in Service::ALL {
            let text = in_words(&contract(service));
            assert!(text.starts_with(&format!("{}\n  a lease lasts", service.name())), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
            assert!(text.contains("source"), "{text}");
            assert_eq!(text.contains("it may end with that one"), service == Service::Consul, "{text}");
        }
    }

    #[test]
    fn seconds_are_told_without_zeros_at_the_end() {
        assert_eq!([seconds(0), seconds(4_500), seconds(15_000), seconds(1_050)], ["0 s", "4.5 s", "15 s", "1.05 s"]);
    }
}
