//! The effect of each request.

use super::*;
use crate::variants::PROTOCOL;

const KEY: Key = Key(0);
const MINE: Token = Token(1);
const OTHER: Token = Token(2);
const ENTRY: Entry = Entry::new(1, 0);

fn run(server: &mut Server, request: Request) -> Reply {
    server.execute(request, &PROTOCOL, 9)
}

fn acquire(token: Token, seen: Option<Entry>) -> Request {
    Request::Acquire { key: KEY, token, seen }
}

fn store(token: Token) -> Request {
    Request::Store { key: KEY, token, entry: ENTRY }
}

#[test]
fn one_caller_stores_once() {
    let mut server = Server::default();
    assert_eq!(run(&mut server, acquire(MINE, None)), Reply::Granted);
    assert_eq!(run(&mut server, acquire(OTHER, None)), Reply::Busy);
    assert_eq!(run(&mut server, store(OTHER)), Reply::Refused);
    assert_eq!(run(&mut server, store(MINE)), Reply::Stored);
    assert_eq!(run(&mut server, store(MINE)), Reply::Refused);
    assert_eq!(server.slots[KEY], Slot { entry: Some(ENTRY), lease: None });
}

#[test]
fn acquire_returns_unseen_entry() {
    let mut server = Server::default();
    run(&mut server, Request::Set { key: KEY, entry: ENTRY });
    assert_eq!(run(&mut server, acquire(MINE, None)), Reply::Present { entry: ENTRY, tag: None });
    assert_eq!(run(&mut server, acquire(MINE, Some(ENTRY))), Reply::Granted);
}

#[test]
fn invalidation_and_take_refuse_the_holder() {
    for request in [Request::Invalidate { key: KEY }, Request::Take { key: KEY, token: OTHER }] {
        let mut server = Server::default();
        run(&mut server, acquire(MINE, None));
        run(&mut server, request);
        assert_eq!(run(&mut server, store(MINE)), Reply::Refused);
    }
}

#[test]
fn release_and_renew_compare_the_token() {
    let mut server = Server::default();
    run(&mut server, acquire(OTHER, None));
    run(&mut server, Request::Release { key: KEY, token: MINE });
    run(&mut server, Request::Renew { key: KEY, token: MINE });
    assert_eq!(server.slots[KEY].lease, Some(Holder::Fill(OTHER)));
    run(&mut server, Request::Release { key: KEY, token: OTHER });
    assert_eq!(server.slots[KEY].lease, None);
}

#[test]
fn invalidation_changes_tag_version() {
    let mut server = Server::default();
    assert_eq!(server.execute(Request::CaptureTag, &PROTOCOL, 1), Reply::Tag(Some(1)));
    assert_eq!(server.execute(Request::CaptureTag, &PROTOCOL, 2), Reply::Tag(Some(1)));
    server.execute(Request::InvalidateTag, &PROTOCOL, 2);
    assert_eq!(server.execute(Request::ReadTag, &PROTOCOL, 2), Reply::Tag(None));
    assert_eq!(server.execute(Request::CaptureTag, &PROTOCOL, 2), Reply::Tag(Some(2)));
}

#[test]
fn evicted_counter_repeats_a_version() {
    let rules = Rules { tag_versions: TagVersions::Counted, ..PROTOCOL };
    let mut server = Server::default();
    server.execute(Request::InvalidateTag, &rules, 9);
    server.tag = None;
    server.execute(Request::InvalidateTag, &rules, 9);
    assert_eq!(server.tag, Some(1));
}

#[test]
fn hold_refuses_all_until_it_ends() {
    let mut server = Server::default();
    run(&mut server, acquire(MINE, None));
    run(&mut server, Request::InvalidateWithHold { key: KEY, version: 2 });
    run(&mut server, Request::InvalidateWithHold { key: KEY, version: 1 });
    assert_eq!(server.slots[KEY].lease, Some(Holder::Hold(2)));
    assert_eq!(run(&mut server, store(MINE)), Reply::Refused);
    assert_eq!(run(&mut server, acquire(OTHER, None)), Reply::Held);
    assert_eq!(run(&mut server, Request::Take { key: KEY, token: OTHER }), Reply::Held);
}

#[test]
fn failure_is_told_until_an_invalidation() {
    let mut server = Server::default();
    let fail = |token| Request::Fail { key: KEY, token, version: 1 };
    run(&mut server, acquire(MINE, None));
    run(&mut server, fail(OTHER));
    assert_eq!(run(&mut server, acquire(OTHER, None)), Reply::Busy);
    run(&mut server, fail(MINE));
    assert_eq!(run(&mut server, acquire(OTHER, None)), Reply::Failing(1));
    run(&mut server, Request::Invalidate { key: KEY });
    assert_eq!(run(&mut server, acquire(OTHER, None)), Reply::Granted);
}

#[test]
fn soften_and_freshen_compare_the_trailer() {
    let mut server = Server::default();
    let soften = Request::Soften { key: KEY, seen: ENTRY };
    assert_eq!(run(&mut server, soften), Reply::Refused);
    run(&mut server, Request::Set { key: KEY, entry: ENTRY });
    assert_eq!(run(&mut server, soften), Reply::Done);
    assert_eq!(run(&mut server, soften), Reply::Refused);
    let freshen = |seen| Request::Freshen { key: KEY, seen, entry: ENTRY };
    assert_eq!(run(&mut server, freshen(ENTRY)), Reply::Refused);
    assert_eq!(run(&mut server, freshen(ENTRY.softened())), Reply::Stored);
    assert_eq!(server.slots[KEY].entry, Some(ENTRY));
}
