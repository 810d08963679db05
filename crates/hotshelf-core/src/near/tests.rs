use std::slice;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::key::Pattern;
use crate::runtime::BoxFuture;
use crate::runtime::fixed::FixedRuntime;
use crate::trailer::{CodecId, Trailer};

/// A clock that is set, in milliseconds.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<AtomicU64>);

impl Runtime for Clock {
    fn now(&self) -> Moment {
        Moment::after_start(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {}

    fn random(&self) -> u64 {
        0
    }
}

struct Fixture {
    clock: Clock,
    near: NearTier,
    source: Arc<Source>,
    key: WireKey,
}

impl Fixture {
    /// A tier at second 10, whose connection has just answered a ping.
    fn new() -> Self {
        let clock = Clock::default();
        clock.0.store(10_000, Ordering::Relaxed);
        let near = NearTier::new(NearOptions::default(), Arc::new(clock.clone()));
        let source = near.source();
        source.read_clock(near.now(), near.now(), Some(1_000_000));
        source.answered(near.now());
        Self { clock, near, source, key: "k".into() }
    }

    fn before(&self) -> Before {
        self.near.before(slice::from_ref(&self.key))[0]
    }

    /// Reads an entry, with something in between the read and its reply.
    fn read(&self, raw: Bytes, between: impl FnOnce(&Self)) {
        let (before, source) = (self.before(), self.source.before());
        between(self);
        self.near.admit(&self.key, &raw, |_| 0, Some(source), before);
    }

    fn holds(&self) -> bool {
        self.near.get(&self.key).unwrap().is_some()
    }

    fn at(&self, millis: u64) -> &Self {
        self.clock.0.store(millis, Ordering::Relaxed);
        self
    }
}

const ENTRY: Bytes = Bytes::from_static(b"1");

#[test]
fn change_in_between_is_not_admitted() {
    type Between = fn(&Fixture);
    let others: [(&str, Between, bool); 6] = [
        ("nothing", |_| {}, true),
        ("the key", |it| it.near.changed(&it.key), false),
        ("everything", |it| it.near.flush(), false),
        ("the connection", |it| it.source.end(), false),
        ("its own", |it| it.near.forget(&Change::Keys(std::slice::from_ref(&it.key))), false),
        ("a pattern", |it| it.near.forget(&Change::Matching(&Pattern::new("other*"))), false),
    ];
    for (what, between, admitted) in others {
        let fixture = Fixture::new();
        fixture.read(ENTRY, between);
        assert_eq!(fixture.holds(), admitted, "{what}");
        // And what was admitted before is gone.
        let fixture = Fixture::new();
        fixture.read(ENTRY, |_| {});
        between(&fixture);
        assert_eq!(fixture.holds(), admitted || what == "a pattern", "{what}");
    }
}

#[test]
fn connection_vouches_for_a_while() {
    let fixture = Fixture::new();
    let mut entry = b"1".to_vec();
    let tags = Vec::new();
    let (loaded_at, fresh_for) = (1_000_000, 50_000);
    let trailer = Trailer {
        absent: false,
        codec: CodecId::JSON,
        fill: [0; 5],
        loaded_at,
        fresh_for,
        lives_for: None,
        late_tags: false,
        load_time: 0,
        tags,
    };
    trailer.append_to(&mut entry);
    fixture.read(entry.into(), |_| {});
    assert!(fixture.at(12_000).holds());
    assert!(!fixture.at(12_001).holds());
    // A ping that was sent at 11 s and answered now.
    let sent = Moment::after_start(Duration::from_secs(11));
    fixture.source.answered(sent);
    assert!(fixture.at(13_000).holds());
    assert!(!fixture.at(13_001).holds());

    // Without any answer it never does.
    let source = fixture.near.source();
    let before = (fixture.before(), source.before());
    fixture.near.admit(&fixture.key, &ENTRY, |_| 0, Some(before.1), before.0);
    assert!(!fixture.holds());
}

#[test]
fn entry_ends_with_the_server_or_the_tier() {
    let written = |loaded_at, fresh_for| {
        let trailer = Trailer {
            absent: false,
            codec: CodecId::JSON,
            fill: [0; 5],
            loaded_at,
            fresh_for,
            lives_for: None,
            late_tags: false,
            load_time: 0,
            tags: Vec::new(),
        };
        let mut entry = b"1".to_vec();
        trailer.append_to(&mut entry);
        Bytes::from(entry)
    };
    let lasts = |entry: Bytes, millis: u64| {
        let fixture = Fixture::new();
        fixture.read(entry, |_| {});
        fixture.at(10_000 + millis);
        fixture.source.answered(fixture.near.now());
        fixture.holds()
    };
    // Of its 5 s it has lived for 2, by the server's clock.
    assert!(lasts(written(998_000, 5_000), 2_999));
    assert!(!lasts(written(998_000, 5_000), 3_000));
    assert!(!lasts(written(900_000, 5_000), 0));
    // Longer than the tier's own.
    assert!(lasts(written(998_000, 500_000), 59_999));
    assert!(!lasts(written(998_000, 500_000), 60_000));
    // Unknown: the bound of staleness.
    for entry in [written(0, 5_000), ENTRY] {
        assert!(lasts(entry.clone(), 1_999));
        assert!(!lasts(entry, 2_000));
    }
}

#[test]
fn memory_is_bounded() {
    let clock = Clock::default();
    let options = NearOptions::default().max_bytes(100_000);
    let near = NearTier::new(options, Arc::new(clock));
    let source = near.source();
    for number in 0..1_000 {
        let key = WireKey::from(format!("k{number}"));
        let before = near.before(slice::from_ref(&key))[0];
        near.admit(&key, &[b'1'; 500], |_| 500, Some(source.before()), before);
    }
    let info = near.info();
    assert!(info.used_bytes <= 100_000 && info.entries > 10, "{info:?}");
}

/// Whoever found an entry before its change was reported doesn't use it on the word of a ping
/// that was answered after that.
#[test]
fn found_entry_is_outdated_by_a_report() {
    let fixture = Fixture::new();
    fixture.read(ENTRY, |_| {});
    let found = fixture.near.get(&fixture.key).unwrap().unwrap();
    fixture.near.changed(&fixture.key);
    assert!(found.entry.is_outdated());
}

#[test]
fn token_admits_only_what_was_read_later() {
    let fixture = Fixture::new();
    let answers = |token: u64| {
        let token = ConsistencyToken::random(&FixedRuntime(token));
        let first = fixture.near.presented(token);
        fixture.near.get_read_after(&fixture.key, first).unwrap().is_some()
    };
    fixture.read("1".into(), |_| {});
    fixture.at(10_001);
    assert!(!answers(1), "read before");
    assert!(fixture.holds(), "calls without it are answered");
    // Sent before, admitted later.
    fixture.at(10_002).read("1".into(), |fixture| {
        fixture.at(10_003);
        assert!(!answers(2));
        fixture.at(10_004);
    });
    assert!(!answers(2) && answers(1));
    fixture.read("1".into(), |_| {});
    assert!(answers(2) && answers(1) && !answers(3));
}

/// The time since the read was sent counts, not that of the reply.
#[test]
fn without_reports_an_entry_is_kept_for_the_bound() {
    let mut fixture = Fixture::new();
    let read = |fixture: &Fixture| {
        let before = fixture.before();
        let sent = before.sent;
        fixture.clock.0.fetch_add(500, Ordering::Relaxed);
        fixture.near.admit(&fixture.key, b"1", |_| 0, None, before);
        sent
    };
    let options = NearOptions::default().without_reports(true);
    fixture.near = NearTier::new(options, Arc::new(fixture.clock.clone()));
    let sent = read(&fixture);
    let bound = options.max_staleness;
    let millis = |moment: Moment| moment.since(Moment::default()).as_millis() as u64;
    assert!(fixture.at(millis(sent + bound) - 1).holds());
    assert!(!fixture.at(millis(sent + bound)).holds());
    // A change of this process.
    read(&fixture);
    assert!(fixture.holds());
    fixture.near.forget(&Change::Keys(slice::from_ref(&fixture.key)));
    assert!(!fixture.holds());
    let before = fixture.before();
    fixture.near.forget(&Change::Keys(slice::from_ref(&fixture.key)));
    fixture.near.admit(&fixture.key, b"1", |_| 0, None, before);
    assert!(!fixture.holds(), "it changed while it was read");
}

/// No report finds it later.
#[test]
fn replaced_or_evicted_entry_is_outdated() {
    let fixture = Fixture::new();
    fixture.read(ENTRY, |_| {});
    let found = fixture.near.get(&fixture.key).unwrap().unwrap();
    fixture.read(ENTRY, |_| {});
    assert!(found.entry.is_outdated());

    let found = fixture.near.get(&fixture.key).unwrap().unwrap();
    let (before, source) = (fixture.before(), fixture.source.before());
    // Too large to be kept, and so it removes the other one.
    fixture.near.admit(&fixture.key, &ENTRY, |_| usize::MAX / 2, Some(source), before);
    assert!(found.entry.is_outdated() && !fixture.holds());
}
