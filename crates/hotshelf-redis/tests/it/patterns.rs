//! Pattern matching compared with the server's.

use std::collections::BTreeSet;

use hotshelf_core::{Pattern, WireKey};
use hotshelf_testkit::Reply;
use proptest::strategy::{Strategy, ValueTree};

use crate::support;

#[test]
fn patterns_match_like_the_server() {
    let server = support::server();
    let mut keys: BTreeSet<String> = BTreeSet::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..400 {
        let text = r"[ab^\\\[\]?*-]{1,5}".new_tree(&mut runner).unwrap().current();
        server.command(&["SET", &text, "1"]);
        keys.insert(text);
    }
    for _ in 0..400 {
        let text = r"[ab^\\\[\]?*-]{0,6}".new_tree(&mut runner).unwrap().current();
        let Reply::Array(found) = server.command(&["KEYS", &text]) else { panic!("no keys") };
        let theirs: BTreeSet<String> = found.iter().map(Reply::to_text).collect();
        let pattern = Pattern::new(text.as_str());
        let matching = |key: &&String| pattern.matches(&WireKey::from(key.as_str()));
        let ours: BTreeSet<String> = keys.iter().filter(matching).cloned().collect();
        assert_eq!(ours, theirs, "{text:?}");
    }
}
