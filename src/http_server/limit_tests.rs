#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tokio::time::advance;

use super::*;
use crate::http_server::activity::{GRACE, Phase, UNREAD_GRACE};

fn table() -> Arc<ConnectionTable> {
    Arc::default()
}

fn limit(all: usize, per_address: usize) -> ConnectionLimit {
    ConnectionLimit { all, per_address }
}

fn decide(table: &Arc<ConnectionTable>, address: &str, limit: ConnectionLimit) -> Decision {
    table.decide(address.parse().unwrap(), limit)
}

/// A connection past its grace period.
async fn connect(table: &Arc<ConnectionTable>, address: &str, limit: ConnectionLimit) -> ConnectionPermit {
    let permit = permit(decide(table, address, limit));
    assert_eq!(permit.refused, None);
    permit.activity.read();
    advance(GRACE).await;
    permit
}

fn permit(decision: Decision) -> ConnectionPermit {
    match decision {
        Decision::Admit(permit) | Decision::Refuse(permit, _) => permit,
        other => panic!("{other:?}"),
    }
}

/// Connects while `evicted` has to make room.
fn replaces(
    table: &Arc<ConnectionTable>,
    address: &str,
    limit: ConnectionLimit,
    evicted: &ConnectionPermit,
) -> ConnectionPermit {
    let decision = decide(table, address, limit);
    assert!(matches!(decision, Decision::Evicted), "{decision:?}");
    assert!(evicted.activity.is_evicted());
    let permit = permit(decide(table, address, limit));
    assert_eq!(permit.refused, None);
    permit
}

#[tokio::test(start_paused = true)]
async fn an_address_replaces_the_connection_that_has_waited_longest_of_its_own() {
    let (table, limit) = (table(), limit(10, 3));
    let other = connect(&table, "192.0.2.2", limit).await;
    let idle = connect(&table, "192.0.2.1", limit).await;
    // An IPv4 address is the same client through an IPv6 socket.
    let half = connect(&table, "::ffff:192.0.2.1", limit).await;
    let slow = connect(&table, "192.0.2.1", limit).await;
    slow.activity.enter(Phase::Body);
    // The oldest one completes a request.
    idle.activity.enter(Phase::Answering);
    idle.activity.enter(Phase::Idle);
    let new = replaces(&table, "192.0.2.1", limit, &half);
    let newer = replaces(&table, "192.0.2.1", limit, &slow);
    assert!(!other.activity.is_evicted() && !idle.activity.is_evicted());
    drop((other, idle, half, slow, new, newer));
    assert!(table.table().networks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_is_admitted_or_waits_for_an_answer_is_not_replaced() {
    let (table, limit) = (table(), limit(10, 2));
    let known = connect(&table, "192.0.2.1", limit).await;
    known.activity.admit();
    let waiting = connect(&table, "192.0.2.1", limit).await;
    waiting.activity.enter(Phase::Answering);
    let refused = permit(decide(&table, "192.0.2.1", limit));
    assert_eq!(refused.refused, Some(LimitReached::Address(2)));
    waiting.activity.enter(Phase::Idle);
    advance(GRACE).await;
    replaces(&table, "192.0.2.1", limit, &waiting);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_has_time_to_send_its_request() {
    let (table, limit) = (table(), limit(10, 1));
    let young = permit(decide(&table, "192.0.2.1", limit));
    let waits_until = |until| {
        let decision = decide(&table, "192.0.2.1", limit);
        assert!(
            matches!(decision, Decision::Wait(Some(at)) if at == until),
            "{decision:?}"
        );
    };
    // What it sent has not been read yet: on a busy machine that can take a while.
    waits_until(Instant::now() + UNREAD_GRACE);
    young.activity.read();
    waits_until(Instant::now() + GRACE);
    advance(GRACE).await;
    replaces(&table, "192.0.2.1", limit, &young);
}

/// An attacker with many addresses takes connections from itself, not from a client that has one connection.
#[tokio::test(start_paused = true)]
async fn a_full_port_replaces_a_connection_of_the_address_that_has_most() {
    let (table, limit) = (table(), limit(5, 4));
    let victim = connect(&table, "192.0.2.1", limit).await;
    let mut attackers = Vec::new();
    for address in ["192.0.2.2", "192.0.2.2", "192.0.2.3", "192.0.2.3"] {
        attackers.push(connect(&table, address, limit).await);
    }
    let new = replaces(&table, "192.0.2.4", limit, &attackers[0]);
    let newer = replaces(&table, "192.0.2.5", limit, &attackers[2]);
    assert!(!victim.activity.is_evicted());
    drop((new, newer));
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_network_of_64_bits_is_one_client() {
    let (table, limit) = (table(), limit(10, 1));
    let first = connect(&table, "2001:db8:0:1::1", limit).await;
    replaces(&table, "2001:db8:0:1:ffff::2", limit, &first);
    assert_eq!(permit(decide(&table, "2001:db8:0:2::1", limit)).refused, None);
}

#[tokio::test(start_paused = true)]
async fn clients_on_this_machine_have_places_of_their_own() {
    let (table, limit) = (table(), limit(32, 32));
    let mut others = Vec::new();
    for _ in 0..30 {
        others.push(connect(&table, "192.0.2.1", limit).await);
        others.iter().for_each(|other| other.activity.admit());
    }
    assert_eq!(
        permit(decide(&table, "192.0.2.2", limit)).refused,
        Some(LimitReached::All(32))
    );
    for address in ["127.0.0.1", "::1"] {
        others.push(connect(&table, address, limit).await);
        others.iter().for_each(|other| other.activity.admit());
    }
    assert_eq!(
        permit(decide(&table, "127.0.0.1", limit)).refused,
        Some(LimitReached::All(32))
    );
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_told_that_there_is_no_place() {
    let (table, limit) = (table(), limit(1, 1));
    let held = connect(&table, "192.0.2.1", limit).await;
    held.activity.admit();
    let told: Vec<_> = (0..MAX_REFUSALS)
        .map(|_| permit(decide(&table, "192.0.2.2", limit)))
        .collect();
    assert!(told.iter().all(|permit| permit.refused == Some(LimitReached::All(1))));
    let closed = decide(&table, "192.0.2.2", limit);
    assert!(matches!(closed, Decision::Close(LimitReached::All(1))), "{closed:?}");
    drop(told);
    assert!(permit(decide(&table, "192.0.2.2", limit)).refused.is_some());
}

/// Connections that are being closed still hold files and memory, so their number is bounded.
#[tokio::test(start_paused = true)]
async fn only_so_many_connections_are_being_closed_at_once() {
    let (table, limit) = (table(), limit(MAX_CLOSING + 1, MAX_CLOSING + 1));
    let mut held = Vec::new();
    for _ in 0..=MAX_CLOSING {
        held.push(connect(&table, "127.0.0.1", limit).await);
    }
    let lowered = ConnectionLimit { all: 1, per_address: 1 };
    for _ in 0..MAX_CLOSING {
        assert!(matches!(decide(&table, "127.0.0.1", lowered), Decision::Evicted));
    }
    let waiting = decide(&table, "127.0.0.1", lowered);
    assert!(matches!(waiting, Decision::Wait(None)), "{waiting:?}");
    held.remove(0);
    table.released().await;
    assert!(matches!(decide(&table, "127.0.0.1", lowered), Decision::Evicted));
    assert_eq!(permit(decide(&table, "127.0.0.1", lowered)).refused, None);
}
