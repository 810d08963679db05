//! The versions of tags, and their ages.

use std::time::Duration;

use hotshelf_core::tag::{self, TagVersion};
use hotshelf_core::{BoxFuture, Ttl, WireKey};

use super::subject::MINUTE;
use super::{Subject, define};

define! {
    /// A tag keeps its version until it is invalidated, and then gets a new one.
    async fn tag_version_changes_with_invalidation(subject) {
        let tags = [WireKey::from("hs:t:x")];
        let keep = Ttl::new(MINUTE).unwrap();
        let capture = || subject.backend().capture(&tags, keep);
        let first = capture().await.unwrap();
        assert_eq!(capture().await.unwrap(), first);
        let read = subject.backend().read(&tags).await.unwrap();
        let (version, _) = tag::read(read[0].as_ref().unwrap()).unwrap();
        assert_eq!(version, first[0], "a read returns the version");
        subject.backend().invalidate_tags(&tags).await.unwrap();
        assert_ne!(capture().await.unwrap(), first);
    }

    /// Each tag has its own version, returned in the order of the tags.
    async fn tags_have_separate_versions(subject) {
        let (one, two) = (WireKey::from("hs:t:1"), WireKey::from("hs:t:2"));
        let keep = Ttl::new(MINUTE).unwrap();
        let forth = subject.backend().capture(&[one.clone(), two.clone()], keep).await.unwrap();
        let back = subject.backend().capture(&[two, one], keep).await.unwrap();
        assert_ne!(forth[0], forth[1]);
        assert_eq!(forth, [back[1], back[0]]);
    }

    /// A version's age grows, and begins anew with the next version. A capture without ages is the
    /// same capture.
    async fn tag_version_has_an_age(subject) {
        let tags = ["hs:t:1", "hs:t:2"].map(WireKey::from);
        let first = captured(subject, &tags[..1]).await;
        assert_eq!(first[0].1, Duration::ZERO);
        subject.runtime().sleep(Duration::from_millis(5)).await;
        let second = captured(subject, &tags).await;
        assert_eq!(second[0].0, first[0].0);
        assert!((4..30_000).contains(&second[0].1.as_millis()), "{second:?}");
        assert_eq!(second[1].1, Duration::ZERO, "a new version among older ones");
        let keep = Ttl::new(MINUTE).unwrap();
        let versions = subject.backend().capture(&tags, keep).await.unwrap();
        assert_eq!(versions, [second[0].0, second[1].0]);
        subject.backend().invalidate_tags(&tags[..1]).await.unwrap();
        let third = captured(subject, &tags).await;
        assert_ne!(third[0].0, first[0].0);
        assert_eq!(third[0].1, Duration::ZERO);
        assert!(third[1].1 < second[0].1 + Duration::from_secs(30));
    }
}

async fn captured(subject: &dyn Subject, tags: &[WireKey]) -> Vec<(TagVersion, Duration)> {
    let keep = Ttl::new(MINUTE).unwrap();
    subject.backend().capture_with_age(tags, keep).await.unwrap()
}
